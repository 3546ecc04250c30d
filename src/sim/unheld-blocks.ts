import { CLASSES, classOf, Revisits } from "../learn/revisits.ts";
import type { Arrival } from "./cache-policy.ts";
import { RecencyList } from "./recency-list.ts";

/** The block that would go first. */
interface Least {
  block: number;
  usedAt: number;
  value: number;
}

/**
 * Blocks in cache that no prefix holds: what ended runs leave, and what open ones have given up. Other runs may come to them
 * all the same, the sooner the more have done so.
 */
export class UnheldBlocks {
  /** By class of the number of runs; among those of one class the one used longest ago goes first. */
  readonly #lists: RecencyList;
  /** By block: how many runs have come to it, which was the last to use it, and when. */
  readonly #runs: Int32Array;
  readonly #latestRun: Int32Array;
  readonly #usedAt: Int32Array;
  readonly #revisits = new Revisits();
  readonly #least: Least = { block: -1, usedAt: 0, value: 0 };
  /** By class: value of what was used last by this request, as of now. */
  readonly #values = Array.from({ length: CLASSES }, () => ({ usedAt: -1, now: -1, value: 0 }));
  #now = 0;
  #openRuns = 1;

  /** @param blockCount block ids are below this. */
  constructor(blockCount: number) {
    this.#lists = new RecencyList(blockCount, CLASSES);
    this.#runs = new Int32Array(blockCount);
    this.#latestRun = new Int32Array(blockCount).fill(-1);
    this.#usedAt = new Int32Array(blockCount);
  }

  /**
   * A prompt came.
   *
   * @param known blocks at its start that the run has used before.
   * @param common blocks at its start that all prompts of its agent have: when those are used again is forecast elsewhere.
   * @param openRuns their number; with 0 nothing is expected, and what was used longest ago goes first.
   */
  used({ index, run, blocks }: Arrival, known: number, common: number, openRuns: number): void {
    this.#now = index;
    this.#openRuns = openRuns;
    let [runs, usedAt, count] = [0, 0, 0];
    for (let at = 0; at < blocks.length; at++) {
      const block = blocks[at] as number;
      if (at >= known && this.#latestRun[block] !== run) {
        const others = this.#runs[block] as number;
        const before = this.#usedAt[block] as number;
        this.#runs[block] = others + 1;
        // Most come in long rows of a kind.
        if (at >= common && others === runs && before === usedAt) count++;
        else if (at >= common) {
          if (count > 0) this.#revisits.came(runs, index - usedAt, count);
          [runs, usedAt, count] = [others, before, 1];
        }
      }
      this.#latestRun[block] = run;
      this.#usedAt[block] = index;
    }
    if (count > 0) this.#revisits.came(runs, index - usedAt, count);
  }

  has(block: number): boolean {
    return this.#lists.has(block);
  }

  add(block: number): void {
    this.#lists.use(block, classOf(this.#runs[block] as number));
  }

  /** Does nothing when the block is not among them. */
  remove(block: number): void {
    this.#lists.remove(block);
  }

  /** The one that is worth least, among equals the one used longest ago; undefined when there is none. */
  get least(): Least | undefined {
    const least = this.#least;
    least.block = -1;
    let value = 0;
    for (let found = 0; found < CLASSES; found++) {
      const block = this.#lists.oldestOf(found);
      if (block === undefined) continue;
      const usedAt = this.#usedAt[block] as number;
      // More runs come to a prompt's beginning than to what follows it, and it must not go before.
      value = Math.max(value, this.#valueOf(found, usedAt));
      if (least.block >= 0 && (value > least.value || usedAt >= least.usedAt)) continue;
      least.block = block;
      least.usedAt = usedAt;
      least.value = value;
    }
    return least.block < 0 ? undefined : least;
  }

  #valueOf(found: number, usedAt: number): number {
    const known = this.#values[found] as { usedAt: number; now: number; value: number };
    if (known.usedAt === usedAt && known.now === this.#now) return known.value;
    known.usedAt = usedAt;
    known.now = this.#now;
    known.value = this.#revisits.value(found, this.#now - usedAt, this.#openRuns);
    return known.value;
  }
}
