import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import belady from "../../src/sim/baselines/belady.ts";
import lru from "../../src/sim/baselines/lru.ts";
import cachesage from "../../src/sim/baselines/cachesage.ts";
import orderOracle from "../../src/sim/baselines/order-oracle.ts";
import { loadWorkload } from "../../src/sim/load.ts";
import { registry } from "../../src/registry.ts";
import type { Baseline } from "../../src/sim/cache-policy.ts";
import { replay } from "../../src/sim/replay.ts";
import { schedule, type Schedule } from "../../src/sim/schedule.ts";

const file = fileURLToPath(new URL("../../../shared/traces/magentic_one.jsonl.gz", import.meta.url));
const folder = fileURLToPath(new URL("../../../shared/traces/", import.meta.url));
const isThere = existsSync(file);
if (!isThere)
  console.warn(
    "test/sim/traces.test.ts is skipped: no recorded workloads in shared/traces beside the checkout",
  );

describe.skipIf(!isThere)("magentic_one, 8 open runs, a quarter of their working set", () => {
  let played: Schedule;
  let capacity = 0;

  beforeAll(async () => {
    const workload = await loadWorkload(file);
    played = schedule(workload, { concurrency: 8, seed: 1, order: "random", maxTouches: 200_000 });
    capacity = Math.floor(played.workingSet * 0.25);
  });

  test("is the schedule that the numbers below are of", () => {
    expect({ calls: played.calls.length, workingSet: played.workingSet }).toEqual({
      calls: 440,
      workingSet: 10_242.5,
    });
  });

  // Measured once: a change of these is a change of the replay, the schedule or the policy, and has to be meant.
  test.each([
    { baseline: lru, hits: 50_952, evictions: 147_531 },
    { baseline: orderOracle, hits: 86_090, evictions: 112_393 },
    { baseline: belady, hits: 98_650, evictions: 99_833 },
    { baseline: cachesage, hits: 84_630, evictions: 113_853 },
  ])("$baseline.name finds $hits blocks", ({ baseline, hits, evictions }) => {
    expect(replay(played, baseline, { capacity })).toMatchObject({ touches: 201_043, hits, evictions });
  });
});

describe.skipIf(!isThere)("on every recorded workload", () => {
  const traces = isThere ? readdirSync(folder).filter((name) => name.endsWith(".jsonl.gz")) : [];

  test.each(traces)(
    "%s: no policy hits more than Belady's rule",
    async (trace) => {
      const known = registry<Baseline>("baseline", new URL("../../src/sim/baselines/", import.meta.url));
      const names = await known.names();
      const baselines = await Promise.all(names.map((name) => known.load(name)));
      const workload = await loadWorkload(`${folder}${trace}`);
      const played = schedule(workload, { concurrency: 8, seed: 1, maxTouches: 20_000 });
      const capacity = Math.max(1, Math.floor(played.workingSet * 0.25));
      const most = replay(played, belady, { capacity }).hits;
      const better = baselines
        .filter((baseline) => baseline.isUnbounded !== true)
        .map((baseline) => [baseline.name, replay(played, baseline, { capacity }).hits] as const)
        .filter(([, hits]) => hits > most);
      expect(better).toEqual([]);
    },
    60_000,
  );
});
