import * as fc from "fast-check";
import { expect, test } from "vitest";
import { CountReader, readCounts, writeCounts, WRITTEN_COUNTS } from "../../src/learn/counts.ts";

test("counts are read as they were written, and JSON adds nothing to them but quotes", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3060)), (counts) => {
      const text = writeCounts(counts);
      expect(readCounts(text)).toEqual(counts);
      expect(text).toMatch(WRITTEN_COUNTS);
      expect(JSON.stringify(text).length).toBe(text.length + 2);
    }),
  );
});

test("counts below 58 take one byte, others two; parts of one are rounded, and too many are the most there can be", () => {
  expect(writeCounts([0, 57]).length).toBe(2);
  expect(writeCounts([58, 3060]).length).toBe(4);
  expect(readCounts(writeCounts([0.4, 0.5, 1e9]))).toEqual([0, 1, 3060]);
});

test("any text of its symbols can be read, to its end", () => {
  fc.assert(
    fc.property(fc.stringMatching(WRITTEN_COUNTS), (text) => {
      for (const reader = new CountReader(text); !reader.isAtEnd;)
        for (const count of [reader.next(), ...reader.list()]) expect(count).toBeGreaterThanOrEqual(0);
    }),
  );
});
