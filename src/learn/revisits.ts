import { rateToValue } from "./value.ts";
import { Waits } from "./waits.ts";

/** Numbers of runs are told apart by doublings; the last class holds all above 256. */
export const CLASSES = 10;
/** Blocks that count in full; beyond, old ones are halved. A prompt has hundreds, which all come at once. */
const WINDOW = 1 << 16;

/** The class of what so many runs have come to. */
export function classOf(runs: number): number {
  return runs <= 1 ? 0 : Math.min(CLASSES - 1, 32 - Math.clz32(runs - 1));
}

/**
 * How soon another run comes to what some have come to: a document that many ask about, a tool's description, a conversation
 * that goes on in a run of its own. Told apart by how many have come, and by how long it has not been used, which together
 * tell most of what can be known of a block from its past (Beckmann, Chen and Cidon 2018,
 * https://www.usenix.org/conference/nsdi18/presentation/beckmann).
 */
export class Revisits {
  /** By class: blocks that so many runs have come to, and the calls until the next one did. */
  readonly #blocks = new Float64Array(CLASSES);
  readonly #waits = Array.from({ length: CLASSES }, () => new Waits(Number.POSITIVE_INFINITY));

  /**
   * A run came to what it had not used before.
   *
   * @param runs others that had come, 0 for what is new.
   * @param idle calls of all runs since it was used last.
   * @param blocks its number of blocks.
   */
  came(runs: number, idle: number, blocks: number): void {
    if (runs > 0) this.#waits[classOf(runs)]?.add(idle, blocks);
    const joined = classOf(runs + 1);
    this.#blocks[joined] = (this.#blocks[joined] as number) + blocks;
    if ((this.#blocks[joined] as number) <= WINDOW) return;
    this.#blocks[joined] = (this.#blocks[joined] as number) / 2;
    this.#waits[joined]?.halve();
  }

  /**
   * Value of keeping what is of this class, in [0, 1]: r/(1+r), r the runs to come to it in one round of all open runs, as for
   * anchors; 0 while no run has come to anything of its class.
   *
   * @param idle calls of all runs since it was used last.
   */
  value(found: number, idle: number, openRuns: number): number {
    const waits = this.#waits[found];
    if (!waits || waits.samples === 0) return 0;
    const never = Math.max(0, (this.#blocks[found] as number) - waits.samples);
    return rateToValue(openRuns * waits.rate(idle, 1, never));
  }
}
