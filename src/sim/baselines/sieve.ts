import type { Baseline } from "../cache-policy.ts";
import { RecencyList } from "../recency-list.ts";

const ABSENT = 0;
const UNVISITED = 1;
const VISITED = 2;

/**
 * Blocks in order of insertion; a hand goes from the oldest to the newest, spares each visited block once and evicts the
 * first unvisited one. Each block is an object of its own, as the paper has it: room is made before it goes in, tail first.
 */
export default {
  name: "sieve",
  description: "SIEVE: first in first out, a hand spares what was used since it last passed",
  source: "Zhang et al., NSDI 2024, https://www.usenix.org/conference/nsdi24/presentation/zhang-yazhuo",
  create({ blockCount }) {
    const queue = new RecencyList(blockCount);
    const states = new Uint8Array(blockCount);
    /** New blocks of the prompt that are not in the queue yet; the next to go in is last. */
    const entering: number[] = [];
    let hand: number | undefined;
    const admit = (left: number) => {
      while (entering.length > left) queue.use(entering.pop() as number);
    };
    return {
      request({ blocks }) {
        admit(0);
        for (const block of blocks)
          if (states[block] !== ABSENT) states[block] = VISITED;
          else {
            states[block] = UNVISITED;
            entering.push(block);
          }
      },
      victim(needed) {
        admit(needed);
        hand ??= queue.oldest;
        while (hand !== undefined && states[hand] === VISITED) {
          states[hand] = UNVISITED;
          hand = queue.newer(hand) ?? queue.oldest;
        }
        const block = hand;
        if (block === undefined) throw new Error("no block is in the queue");
        hand = queue.newer(block);
        queue.remove(block);
        states[block] = ABSENT;
        return block;
      },
    };
  },
} satisfies Baseline;
