import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { at, nested } from "../../src/sim/nested-fields.ts";

const name = fc.stringMatching(/^[a-z_]{1,3}$/);
const { tree } = fc.letrec<{ tree: unknown; fields: Record<string, unknown> }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(fc.string(), fc.integer(), fc.boolean()),
    tie("fields"),
    fc.array(tie("tree"), { minLength: 1, maxLength: 3 }),
  ),
  fields: fc.dictionary(name, tie("tree"), { minKeys: 1, maxKeys: 3, noNullPrototype: true }),
}));
const fields = fc.dictionary(name, tree, { maxKeys: 4, noNullPrototype: true });

/** Paths to all values that hold no others. */
function flat(value: unknown, path: readonly string[] = []): readonly (readonly [string, unknown])[] {
  if (typeof value !== "object" || value === null) return [[path.join("."), value]];
  return Object.entries(value).flatMap(([own, inner]) => flat(inner, [...path, own]));
}

describe("names with dots", () => {
  it("are nested again as they were before they were made flat, in any order", () => {
    fc.assert(
      fc.property(fields, fc.nat(), (whole, turn) => {
        const all = flat(whole);
        const cut = all.length === 0 ? 0 : turn % all.length;
        expect(nested(Object.fromEntries([...all.slice(cut), ...all.slice(0, cut)]))).toEqual(whole);
      }),
    );
  });

  it("leave alone what is nested already", () => {
    fc.assert(
      fc.property(fields, (whole) => {
        expect(nested(whole)).toEqual(whole);
      }),
    );
  });

  it.each([
    ["nested in part", { a: [{ "b.c": 1 }], "a2.b": 2 }, { a: [{ b: { c: 1 } }], a2: { b: 2 } }],
    ["some of them in the object of that name", { a: { b: 1 }, "a.c": 2 }, { a: { b: 1, c: 2 } }],
    ["below nothing", { a: null, "a.b": 1 }, { a: { b: 1 } }],
    ["below a value, which stays", { a: "x", "a.b": 1 }, { a: "x" }],
    ["with numbers out of order", { "a.1": 1, "a.0": 0, "a.10": 10 }, { a: { 0: 0, 1: 1, 10: 10 } }],
    ["with a number left out", { "a.0.b": 0, "a.2.b": 2 }, { a: { 0: { b: 0 }, 2: { b: 2 } } }],
    ["from 0 on", { "a.1.b": 1, "a.0.b": 0 }, { a: [{ b: 0 }, { b: 1 }] }],
  ])("are read %s", (_, value, expected) => {
    expect(nested(value)).toEqual(expected);
  });

  it("are no way to the prototype of all objects", () => {
    const read = nested(JSON.parse('{ "__proto__.polluted": 1, "constructor.prototype.polluted": 1 }'));
    expect({}).not.toHaveProperty("polluted");
    expect(at(read, "constructor", "prototype", "polluted")).toBe(1);
  });
});

describe("a path", () => {
  it("leads to a value, or to nothing", () => {
    const value = { a: { b: [1], c: null } };
    expect(at(value, "a", "b")).toEqual([1]);
    expect([at(value, "a", "c"), at(value, "a", "b", "0"), at("a", "length")]).toEqual(
      Array(3).fill(undefined),
    );
  });
});
