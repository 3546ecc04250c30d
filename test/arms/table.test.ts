import { describe, expect, it } from "vitest";
import type { Arm } from "../../src/arms/arm.ts";
import type { ArmRow } from "../../src/arms/rows.ts";
import { armTable } from "../../src/arms/table.ts";

function row(arm: Arm, seed: number, hitRate: number): ArmRow {
  return {
    arm,
    seed,
    hit_rate: hitRate,
    ttft_ms: { mean: 100 * (1 - hitRate), p50: 1, p95: 1, p99: 1 },
    run_ms: { mean: 1000 },
    runs_per_minute: 10,
    utilisation: null,
    prefetch: null,
    next_agent_accuracy: null,
    decision_us: null,
  };
}

/** Characters of the longest line. */
const widest = (table: string) => Math.max(...table.split("\n").map((line) => line.length));

describe("the table of arms", () => {
  it("ends with what hints change against lru, over several seeds", () => {
    const rows = [row("lru", 1, 0.5), row("hints", 1, 0.6), row("lru", 2, 0.5), row("hints", 2, 0.7)];
    const table = armTable(rows);
    expect(table).toContain("hints against lru, median over 2 seeds");
    expect(table).toContain("hit rate: +15.0 points (+10.0 to +20.0)");
    expect(table).not.toContain("told");
  });

  it("compares each arm with hints", () => {
    const rows = [1, 2].flatMap((seed) => [
      row("lru", seed, 0.5),
      row("hints", seed, 0.6),
      row("told", seed, 0.9),
    ]);
    const table = armTable(rows);
    expect(table).toContain("hints against lru");
    expect(table).toMatch(/told against lru.*\n *hit rate: \+40.0 points/);
  });

  it("fits a terminal of 120 columns, and has every cell on one line where there is none", () => {
    const prefetch = { used: 39_382, wasted: 18_382 };
    const rows = [{ ...row("hints", 1, 0.776), prefetch, decision_us: { mean: 516.4, p99: 3639.8 } }];
    expect(widest(armTable(rows, 120))).toBeLessThanOrEqual(120);
    for (const part of ["39382 /", "18382", "516.4 /", "3639.8"]) expect(armTable(rows, 120)).toContain(part);
    expect(armTable(rows)).toContain("39382 / 18382");
  });

  it.each([[["lru"]], [["none", "hints"]]] as const)(
    "compares nothing where only %j were played",
    (played) => {
      const rows = [1, 2].flatMap((seed) => played.map((arm) => row(arm, seed, 0.5)));
      expect(armTable(rows)).not.toContain("against");
    },
  );
});
