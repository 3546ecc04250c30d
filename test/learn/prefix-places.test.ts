import * as fc from "fast-check";
import { expect, test } from "vitest";
import { PrefixPlaces } from "../../src/learn/prefix-places.ts";
import type { PromptShape } from "../../src/runtime/event.ts";

const prompt = (anchor: string, ...history: readonly string[]): PromptShape => ({
  anchor: { hash: anchor, length: 100 },
  history: history.map((hash) => ({ hash, length: 50 })),
});

test("a server has of a prompt what is common with those that were sent there", () => {
  const places = new PrefixPlaces();
  places.sent(places.path(prompt("a", "1", "2")), "one", 200);
  places.sent(places.path(prompt("a", "3")), "two", 150);
  const next = places.path(prompt("a", "1", "2", "4"));
  expect(places.expected(next, "one").share).toBeCloseTo(200 / 250);
  expect(places.expected(next, "two").share).toBeCloseTo(100 / 250);
  expect(places.expected(next, "three").share).toBe(0);
  expect(places.expected(places.path(prompt("b", "1")), "one").share).toBe(0);
});

test("nothing is left of an emptied cache, and what is sent after that is there", () => {
  const places = new PrefixPlaces();
  const path = places.path(prompt("a"));
  places.sent(path, "one", 100);
  places.emptied("one");
  expect(places.expected(path, "one").share).toBe(0);
  places.sent(path, "one", 100);
  expect(places.expected(path, "one").share).toBe(1);
});

test("what was not found any more tells the room, and what is found again that there is more", () => {
  const places = new PrefixPlaces();
  const old = places.path(prompt("old"));
  const other = places.path(prompt("other"));
  places.sent(old, "one", 100);
  places.sent(other, "one", 1000);
  const expected = places.expected(old, "one");
  expect(expected).toMatchObject({ share: 1, age: 1000 });
  places.found("one", expected, 0, 5000);
  expect(places.expected(old, "one").share).toBe(1);
  places.found("one", expected, 0, 0);
  const less = places.expected(old, "one");
  expect(less).toMatchObject({ share: 0, dropped: { share: 1, age: 1000 } });
  places.found("one", less, 0.9, 0);
  expect(places.expected(old, "one").share).toBe(1);
  places.holds("one", 500);
  expect(places.expected(old, "one").share).toBe(0);
});

test("whatever is sent where, a share is in [0, 1], and what was sent last is there whole", () => {
  const shape = fc.record({
    anchor: fc.constantFrom("a", "b"),
    history: fc.array(fc.constantFrom("1", "2", "3"), { maxLength: 4 }),
    server: fc.constantFrom("one", "two"),
    tokens: fc.nat(1000),
    found: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(shape, { maxLength: 40 }), (all) => {
      const places = new PrefixPlaces(20);
      for (const { anchor, history, server, tokens, found } of all) {
        const path = places.path(prompt(anchor, ...history));
        const expected = places.expected(path, server);
        expect(expected.share).toBeGreaterThanOrEqual(0);
        expect(expected.share).toBeLessThanOrEqual(1);
        places.sent(path, server, tokens);
        expect(places.expected(path, server)).toMatchObject({ share: 1, age: 0 });
        places.found(server, expected, found, 0);
      }
    }),
  );
});
