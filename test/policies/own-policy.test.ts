import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { z } from "zod";
import { definePolicy, InvalidOptionsError } from "../../src/index.ts";
import { scriptedSage } from "./scripted-sage.ts";

const stop = definePolicy({
  name: "stop",
  description: "Stops one tool",
  subject: "tool-call",
  actions: ["deny"],
  options: z.strictObject({ tool: z.string().default("deploy").describe("The tool.") }),
  create: ({ options }) => ({
    act: (ranked) =>
      ranked
        .filter(({ item }) => item.tool === options.tool)
        .map(({ item: call }) => ({ type: "deny" as const, call, reason: "not now" })),
  }),
});

test("a policy from the user's own code works beside those that come with the package", async () => {
  await using scripted = await scriptedSage({ stop, "tool-memo": { tools: { read: { scope: "global" } } } });
  let reads = 0;
  const read = scripted.sage.tool(async () => ++reads, { name: "read" });
  const deploy = scripted.sage.tool(async () => "deployed", { name: "deploy" });
  expect([await read(), await read()]).toEqual([1, 1]);
  const release = scripted.sage.tool(() => "released", { name: "deploy" });
  expect(() => release()).toThrow("tool deploy of agent (unknown) was denied: not now");
  await expect(deploy()).rejects.toMatchObject({ code: "ACTION_DENIED", policy: "stop", reason: "not now" });
});

test("a definition that is none is refused with what was got", async () => {
  await expect(scriptedSage({ stop: "on" as unknown as true })).rejects.toThrow(InvalidOptionsError);
});

const untouched = () => 1;

test("only prefix-cache is on by default", async () => {
  await using scripted = await scriptedSage({ "prefix-cache": true });
  expect(scripted.sage.tool(untouched)).toBe(untouched);
});

test("the example stays short", () => {
  const example = readFileSync(new URL("../../examples/06-own-policy.ts", import.meta.url), "utf8");
  expect(example.trimEnd().split("\n").length).toBeLessThan(25);
});
