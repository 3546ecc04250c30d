import { afterAll, describe, expect, test } from "vitest";
import { registry } from "../../src/registry.ts";
import { engineConformance } from "../../src/testing/index.ts";
import { byFixture, real, stopShared } from "./subjects.ts";

const timeout = 300_000;
afterAll(stopShared);

describe.each(byFixture)("$name, with answers from its published schema", (subject) => {
  test.each(engineConformance(subject))("$name", ({ run }) => expect(run()).resolves.toBeUndefined());
});

for (const subject of real)
  describe.skipIf(subject.missing)(`${subject.name}, the real server`, { timeout }, () => {
    test.each(engineConformance(subject))("$name", ({ run }) => expect(run()).resolves.toBeUndefined());
  });

test("every engine of the folder is tried", async () => {
  const names = await registry("engine", new URL("../../src/engines/", import.meta.url)).names();
  expect([...new Set([...byFixture, ...real].map(({ name }) => name))].toSorted()).toEqual(names);
});
