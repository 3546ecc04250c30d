import { expect, test } from "vitest";
import { z } from "zod";
import { type CacheSageOptions, definePolicy, InvalidOptionsError } from "../src/index.ts";
import { MemoryStore } from "../src/stores/memory.ts";
import { scriptedSage } from "./policies/scripted-sage.ts";

/** A policy that remembers one number, and what it was given back. */
function remembering(name: string, value: unknown, restore?: (state: unknown) => void) {
  const given: unknown[] = [];
  const definition = definePolicy({
    name,
    description: "Remembers",
    subject: "request",
    actions: ["admit"],
    options: z.strictObject({}),
    create: () => ({
      snapshot: () => (typeof value === "function" ? (value() as unknown) : value),
      restore: (state: unknown) => {
        restore?.(state);
        given.push(state);
      },
    }),
  });
  return { definition, given };
}

function app(policies: CacheSageOptions["policies"], more: CacheSageOptions = {}) {
  const warnings: string[] = [];
  const faults: string[] = [];
  const sage = scriptedSage(policies, undefined, {
    warn: (message) => void warnings.push(message),
    onFault: (where) => void faults.push(where),
    ...more,
  });
  return { sage, warnings, faults };
}

/** Through JSON, as a file would have it. */
const saved = (state: unknown) => JSON.parse(JSON.stringify(state)) as Record<string, unknown>;

test("a snapshot has what policies remember, and gives it back to those that are at work", async () => {
  const admission = { limit: 12, firstToken: [3, 4], perToken: [0, 0], remaining: [] };
  const own = remembering("own", { seen: 7 });
  const first = app({ admission: true, own: own.definition });
  await using before = await first.sage;
  before.sage.restore({ ...saved(before.sage.snapshot()), policies: { version: 1, states: { admission } } });
  const state = saved(before.sage.snapshot());
  expect(state["policies"]).toEqual({ version: 1, states: { admission, own: { seen: 7 } } });
  const next = remembering("own", { seen: 0 });
  const second = app({ own: next.definition });
  await using after = await second.sage;
  after.sage.restore(state);
  expect(next.given).toEqual([{ seen: 7 }]);
  expect([...first.warnings, ...second.warnings, ...first.faults, ...second.faults]).toEqual([]);
});

test("a snapshot without policies loads as before, one of another version says what is left out", async () => {
  const own = remembering("own", 1);
  const { sage: connecting, warnings } = app({ own: own.definition });
  await using scripted = await connecting;
  const { policies: _none, ...old } = saved(scripted.sage.snapshot());
  scripted.sage.restore(old);
  expect(warnings).toEqual([]);
  scripted.sage.restore({ ...old, policies: { version: 2, states: { own: 1 } } });
  expect(warnings).toEqual([expect.stringContaining("another version")]);
  expect(own.given).toEqual([]);
  expect(() => scripted.sage.restore({ policies: { version: 1, states: {} } })).toThrow(InvalidOptionsError);
});

test("a policy whose state is broken costs one warning, and the others get theirs", async () => {
  const broken = remembering("broken", 1, () => {
    throw new Error("no such state");
  });
  const unwritable = remembering("unwritable", () => 1n);
  const own = remembering("own", 2);
  const {
    sage: connecting,
    warnings,
    faults,
  } = app({
    broken: broken.definition,
    unwritable: unwritable.definition,
    admission: true,
    own: own.definition,
  });
  await using scripted = await connecting;
  const state = saved(scripted.sage.snapshot());
  expect(state["policies"]).toMatchObject({ states: { broken: 1, own: 2 } });
  expect(warnings).toEqual([expect.stringMatching(/policy unwritable could not be saved.*BigInt/)]);
  scripted.sage.restore({
    ...state,
    policies: { version: 1, states: { broken: 1, admission: "x", own: 3 } },
  });
  expect(warnings.slice(1)).toEqual([
    expect.stringMatching(/policy admission could not be restored/),
    expect.stringMatching(/policy broken could not be restored.*no such state/),
  ]);
  expect(faults).toEqual(["policy unwritable.snapshot", "policy admission.restore", "policy broken.restore"]);
  expect(own.given).toEqual([3]);
});

test("a store keeps it over a restart, as it was when cachesage was closed", async () => {
  const store = new MemoryStore();
  let seen = 1;
  const own = remembering("own", () => seen);
  const first = await app({ own: own.definition }, { store }).sage;
  seen = 2;
  await first[Symbol.asyncDispose]();
  const next = remembering("own", 0);
  await using second = await app({ own: next.definition }, { store }).sage;
  expect(next.given).toEqual([2]);
  expect(second.sage.stats.store?.failures).toBe(0);
});
