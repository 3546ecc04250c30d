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
  /** Its class; -1 while it has to be looked for. */
  #leastClass = -1;
  /** By class: value of what was used last by this request, and how long it stands. */
  readonly #values = Array.from({ length: CLASSES }, () => ({ usedAt: -1, until: 0, value: 0 }));
  #size = 0;
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
    this.#leastClass = -1;
    let runs = 0;
    let usedAt = 0;
    let count = 0;
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
          runs = others;
          usedAt = before;
          count = 1;
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
    const found = classOf(this.#runs[block] as number);
    const usedAt = this.#usedAt[block] as number;
    if (this.#size === 0) this.#setLeast(found, block, usedAt, this.#valueOf(found, usedAt));
    // Else it is the last to go of its class.
    else if (this.#lists.oldestOf(found) === undefined) this.#leastClass = -1;
    this.#lists.use(block, found);
    this.#size++;
  }

  /** Does nothing when the block is not among them. */
  remove(block: number): void {
    if (!this.#lists.has(block)) return;
    this.#lists.remove(block);
    this.#size--;
    const least = this.#least;
    const next =
      this.#leastClass < 0 || block !== least.block ? undefined : this.#lists.oldestOf(this.#leastClass);
    // What came with it has the same value.
    if (next !== undefined && this.#usedAt[next] === least.usedAt) least.block = next;
    else this.#leastClass = -1;
  }

  /** The one that is worth least, among equals the one used longest ago; undefined when there is none. */
  get least(): Least | undefined {
    if (this.#size === 0) return undefined;
    const least = this.#least;
    if (this.#leastClass >= 0) return least;
    let value = 0;
    for (let found = 0; found < CLASSES; found++) {
      const block = this.#lists.oldestOf(found);
      if (block === undefined) continue;
      const usedAt = this.#usedAt[block] as number;
      // More runs come to a prompt's beginning than to what follows it, and it must not go before.
      value = Math.max(value, this.#valueOf(found, usedAt));
      if (this.#leastClass >= 0 && (value > least.value || usedAt >= least.usedAt)) continue;
      this.#setLeast(found, block, usedAt, value);
    }
    return least;
  }

  #setLeast(found: number, block: number, usedAt: number, value: number): void {
    this.#leastClass = found;
    this.#least.block = block;
    this.#least.usedAt = usedAt;
    this.#least.value = value;
  }

  #valueOf(found: number, usedAt: number): number {
    const known = this.#values[found] as { usedAt: number; until: number; value: number };
    if (known.usedAt === usedAt && this.#now < known.until) return known.value;
    const idle = this.#now - usedAt;
    known.usedAt = usedAt;
    // Times are told apart by quarters of a doubling: of half a quarter nothing changes much.
    known.until = this.#now + 1 + idle / 8;
    known.value = this.#revisits.value(found, idle, this.#openRuns);
    return known.value;
  }
}
