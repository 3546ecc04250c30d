import * as fc from "fast-check";
import { expect, test } from "vitest";
import { chainBlocks } from "../../src/sim/chained-blocks.ts";
import type { Workload } from "../../src/sim/workload.ts";

const prompts = fc.array(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 8 }), {
  minLength: 1,
  maxLength: 8,
});

function workloadOf(given: readonly (readonly number[])[]): Workload {
  const calls = given.map((blocks) => ({
    agent: "agent",
    blocks: Int32Array.from(blocks),
    anchorBlocks: 0,
    promptTokens: 16 * blocks.length,
    outputTokens: 1,
  }));
  return { name: "made", blockTokens: 16, blockCount: 6, runs: [{ id: "run", calls }] };
}

function blocksOf({ runs }: Workload): readonly (readonly number[])[] {
  return runs.flatMap(({ calls }) => calls.map(({ blocks }) => [...blocks]));
}

test("two blocks have one id if and only if all up to them is equal", () => {
  fc.assert(
    fc.property(prompts, (given) => {
      const chained = chainBlocks(workloadOf(given));
      const beginnings = new Map<number, string>();
      const ids = new Map<string, number>();
      for (const [index, blocks] of blocksOf(chained).entries()) {
        expect(blocks).toHaveLength(given[index]?.length ?? -1);
        for (const [at, id] of blocks.entries()) {
          const beginning = String(given[index]?.slice(0, at + 1));
          expect(beginnings.get(id) ?? beginning).toBe(beginning);
          expect(ids.get(beginning) ?? id).toBe(id);
          beginnings.set(id, beginning);
          ids.set(beginning, id);
          expect(id).toBeLessThan(chained.blockCount);
        }
      }
    }),
  );
});

test("ids that commit to all before them stay as they are", () => {
  fc.assert(
    fc.property(prompts, (given) => {
      const chained = chainBlocks(workloadOf(given));
      expect(chainBlocks(chained)).toEqual(chained);
    }),
  );
});
