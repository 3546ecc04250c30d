import type { Baseline } from "../cache-policy.ts";
import { RecencyList } from "../recency-list.ts";

/** Share of the capacity that is the small queue's. */
const SMALL_SHARE = 0.1;
const MOST_USES = 3;
const ABSENT = -1;

/**
 * Blocks enter a small queue; those used more than once there go on to the main queue, the others leave but are remembered
 * by a ghost queue as long as main, and enter main when they come back. Main gives a used block another turn for each use.
 * Each block is an object of its own, as the paper has it: room is made before it goes in, tail first.
 */
export default {
  name: "s3-fifo",
  description: "S3-FIFO: a small, a main and a ghost queue, each first in first out",
  source: "Yang et al., SOSP 2023, https://doi.org/10.1145/3600006.3613147",
  create({ blockCount, capacity }) {
    const [small, main, ghost] = [new Queue(blockCount), new Queue(blockCount), new Queue(blockCount)];
    const smallSize = Math.max(1, Math.floor(capacity * SMALL_SHARE));
    const mainSize = capacity - smallSize;
    /** Uses since insertion, at most 3. */
    const uses = new Int8Array(blockCount).fill(ABSENT);
    /** New blocks of the prompt that are in no queue yet; the next to go in is last. */
    const entering: number[] = [];
    const admit = (left: number) => {
      while (entering.length > left) {
        const block = entering.pop() as number;
        const isKnown = ghost.has(block);
        if (isKnown) ghost.remove(block);
        (isKnown ? main : small).push(block);
      }
    };
    const evictMain = () => {
      for (;;) {
        const block = main.take();
        const count = uses[block] as number;
        if (count === 0) return block;
        uses[block] = count - 1;
        main.push(block);
      }
    };
    const evict = () => {
      while (main.size === 0 || small.size >= smallSize) {
        const block = small.take();
        if ((uses[block] as number) <= 1) {
          ghost.push(block);
          if (ghost.size > mainSize) ghost.take();
          return block;
        }
        uses[block] = 0;
        main.push(block);
        if (main.size > mainSize) break;
      }
      return evictMain();
    };
    return {
      request({ blocks }) {
        admit(0);
        for (const block of blocks) {
          const count = uses[block] as number;
          if (count === ABSENT) entering.push(block);
          uses[block] = Math.min(count + 1, MOST_USES);
        }
      },
      victim(needed) {
        admit(needed);
        const block = evict();
        uses[block] = ABSENT;
        return block;
      },
    };
  },
} satisfies Baseline;

/** First in, first out. */
class Queue {
  readonly #blocks: RecencyList;
  #size = 0;

  constructor(blockCount: number) {
    this.#blocks = new RecencyList(blockCount);
  }

  get size(): number {
    return this.#size;
  }

  has(block: number): boolean {
    return this.#blocks.has(block);
  }

  push(block: number): void {
    this.#blocks.use(block);
    this.#size++;
  }

  take(): number {
    const block = this.#blocks.takeOldest();
    this.#size--;
    return block;
  }

  remove(block: number): void {
    this.#blocks.remove(block);
    this.#size--;
  }
}
