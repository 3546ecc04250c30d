import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { registry } from "../../src/registry.ts";
import type { Baseline, CacheContext } from "../../src/sim/cache-policy.ts";
import { replay } from "../../src/sim/replay.ts";
import { schedule, type Schedule } from "../../src/sim/schedule.ts";
import { chainedWorkload, singleBlockWorkload } from "./random-workload.ts";

const folder = registry<Baseline>("baseline", new URL("../../src/sim/baselines/", import.meta.url));
const names = await folder.names();
const baselines = await Promise.all(names.map((name) => folder.load(name)));
const belady = await folder.load("belady");
const unbounded = await folder.load("unbounded");

const settings = fc.record({
  concurrency: fc.integer({ min: 1, max: 4 }),
  seed: fc.integer({ min: 0, max: 1000 }),
});
const chained = fc.tuple(chainedWorkload, settings).map(([workload, given]) => schedule(workload, given));
const single = fc.tuple(singleBlockWorkload, settings).map(([workload, given]) => schedule(workload, given));
const capacities = fc.integer({ min: 1, max: 20 });

test.each(baselines.map((baseline, i) => ({ baseline, name: names[i] })))(
  "$name is named as its file is, and says what it does and where it comes from",
  ({ baseline, name }) => {
    expect(baseline.name).toBe(name);
    expect(baseline.description).not.toBe("");
    expect(baseline.source).not.toBe("");
  },
);

function holds(property: (given: Schedule, capacity: number) => void): void {
  fc.assert(fc.property(chained, capacities, property), { numRuns: 100 });
}

describe.each(baselines)("$name", (baseline) => {
  const isOracle = baseline.description.includes("oracle");
  test("comes to the same twice", () => {
    holds((given, capacity) => {
      expect(replay(given, baseline, { capacity })).toEqual(replay(given, baseline, { capacity }));
    });
  });

  test.skipIf(baseline.isUnbounded === true)("never holds more than the capacity", () => {
    holds((given, capacity) => {
      expect(() => replay(given, watched(baseline, capacity), { capacity })).not.toThrow();
    });
  });

  test("never hits more than a cache without bounds", () => {
    holds((given, capacity) => {
      const { hits } = replay(given, unbounded, { capacity });
      expect(replay(given, baseline, { capacity }).hits).toBeLessThanOrEqual(hits);
    });
  });

  test("evicts nothing while all fits", () => {
    holds((given) => {
      expect(replay(given, baseline, { capacity: given.workload.blockCount }).evictions).toBe(0);
    });
  });

  test.skipIf(isOracle)("knows nothing of what is to come", () => {
    holds((given, capacity) => {
      const cut = Math.ceil(given.calls.length / 2);
      const whole = decisions(given, blindfolded(baseline), capacity);
      const head = decisions({ ...given, calls: given.calls.slice(0, cut) }, baseline, capacity);
      expect(head).toEqual(whole.slice(0, cut));
    });
  });

  // Not so for whole prompts: there the head of a prefix is worth more than its own next use says.
  test.skipIf(baseline.isUnbounded === true)("never hits more than Belady's rule, block by block", () => {
    fc.assert(
      fc.property(single, capacities, (given, capacity) => {
        const { hits } = replay(given, belady, { capacity });
        expect(replay(given, baseline, { capacity }).hits).toBeLessThanOrEqual(hits);
      }),
      { numRuns: 100 },
    );
  });
});

/** By call: the blocks that were evicted and those that were computed ahead, in order. */
function decisions(given: Schedule, baseline: Baseline, capacity: number): readonly (readonly string[])[] {
  const made: string[][] = [];
  const told = (what: string, block: number) => {
    made.at(-1)?.push(`${what} ${block}`);
    return block;
  };
  const listening: Baseline = {
    ...baseline,
    create(context) {
      const policy = baseline.create(context);
      return {
        request(arrival) {
          made.push([]);
          policy.request(arrival);
        },
        victim: (needed) => told("evicts", policy.victim(needed)),
        prefetch: (most, free) =>
          (policy.prefetch?.(most, free) ?? []).map((block) => told("fetches", block)),
        completed: (completion) => policy.completed?.(completion),
        ended: (run, status) => policy.ended?.(run, status),
      };
    },
  };
  replay(given, listening, { capacity, prefetchBlocks: 2 });
  return made;
}

/** Counts what is in cache, apart from the judge. */
function watched(baseline: Baseline, capacity: number): Baseline {
  const held = new Set<number>();
  const isWithin = () => expect(held.size).toBeLessThanOrEqual(capacity);
  return {
    ...baseline,
    create(context) {
      const policy = baseline.create(context);
      return {
        request(arrival) {
          isWithin();
          for (const block of arrival.blocks) held.add(block);
          policy.request(arrival);
        },
        victim(needed) {
          expect(needed).toBe(held.size - capacity);
          const block = policy.victim(needed);
          expect(held.delete(block)).toBe(true);
          return block;
        },
        completed: (completion) => policy.completed?.(completion),
        ended: (run, status) => policy.ended?.(run, status),
        finished() {
          isWithin();
          policy.finished?.();
        },
      };
    },
  };
}

/** Throws when the baseline looks at the future. */
function blindfolded(baseline: Baseline): Baseline {
  const forbid = (what: string) => ({
    get(): never {
      throw new Error(`${baseline.name} reads context.${what}`);
    },
  });
  return {
    ...baseline,
    create(context) {
      const blind = Object.defineProperties({ ...context } as CacheContext, {
        future: forbid("future"),
        schedule: forbid("schedule"),
      });
      return baseline.create(blind);
    },
  };
}
