import type { Baseline } from "../cache-policy.ts";
import { RecencyList } from "../recency-list.ts";

/** LRU that lets go of an ended run's blocks first, unless another run has used them too: what knowing a run's end is worth. */
export default {
  name: "lru-with-release",
  description: "least recently used, after the blocks that only ended runs have used",
  source: "this project",
  create({ blockCount }) {
    const recency = new RecencyList(blockCount);
    const owner = new Int32Array(blockCount).fill(-1);
    const isShared = new Uint8Array(blockCount);
    const used = new Map<number, Int32Array[]>();
    /** Blocks of ended runs; those that came back in the meantime are shared and are passed over. */
    const released: number[] = [];
    return {
      request({ run, blocks }) {
        recency.usePrompt(blocks);
        for (const block of blocks) {
          if (owner[block] !== -1 && owner[block] !== run) isShared[block] = 1;
          owner[block] = run;
        }
        const prompts = used.get(run);
        if (prompts) prompts.push(blocks);
        else used.set(run, [blocks]);
      },
      victim() {
        for (let block = released.pop(); block !== undefined; block = released.pop())
          if (isShared[block] === 0 && recency.has(block)) {
            recency.remove(block);
            return block;
          }
        return recency.takeOldest();
      },
      ended(run) {
        for (const blocks of used.get(run) ?? [])
          for (const block of blocks) if (isShared[block] === 0 && recency.has(block)) released.push(block);
        used.delete(run);
      },
    };
  },
} satisfies Baseline;
