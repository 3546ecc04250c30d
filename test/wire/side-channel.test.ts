import { expect, test } from "vitest";
import type { Hint, Outcome } from "../../src/runtime/action.ts";
import { SideChannel } from "../../src/wire/side-channel.ts";

const retain: Hint = { type: "retain", prefix: { agent: "a" }, value: 1 };
const release: Hint = { type: "release", prefix: { agent: "a", run: "1" } };

function warningsAfter(...batches: readonly (readonly Outcome["status"][])[]): readonly string[] {
  const warnings: string[] = [];
  const channel = new SideChannel("http://engine:1/v1", (message) => warnings.push(message));
  for (const statuses of batches)
    channel.sent(
      [retain, release],
      statuses.map((status) => ({
        status,
        ...(status === "failed" && { reason: "http://engine:1/kv_hints cannot be reached: ECONNREFUSED" }),
      })),
    );
  return warnings;
}
const down = ["failed", "failed"] as const;

test("three failures in a row are told once, with what is off, why, and what to do", () => {
  const [warning, ...more] = warningsAfter(down, down, down, down, down, down);
  expect(more).toEqual([]);
  expect(warning).toMatch(/^hints to http:\/\/engine:1\/v1 failed 3 times in a row \(ECONNREFUSED\)\./);
  expect(warning).toContain("retain, release are without effect");
  expect(warning).toContain("cachesage doctor");
});

test.each<[string, readonly (readonly Outcome["status"][])[]]>([
  ["two failures", [down, down]],
  ["an answer between failures", [down, down, ["applied", "applied"], down, down]],
  ["one hint of several that fails", [down, down, ["failed", "ignored"], down, down]],
  ["refusals, which are answers", [["rejected"], ["rejected"], ["rejected"], ["rejected"]]],
  ["nothing to tell from", [[], [], [], []]],
])("%s: nothing is told", (_, batches) => {
  expect(warningsAfter(...batches)).toEqual([]);
});

test("what was withdrawn tells nothing", () => {
  expect(warningsAfter(down, down, ["cancelled", "cancelled"], down)).toHaveLength(1);
});
