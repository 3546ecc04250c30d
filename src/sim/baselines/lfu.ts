import { BlockHeap } from "../block-heap.ts";
import type { Baseline } from "../cache-policy.ts";

/**
 * Evicts the block used least often since it came into the cache; an evicted block's count is forgotten. Blocks of the
 * prompt being served come last, whatever their count: a new block would otherwise never get in.
 */
export default {
  name: "lfu",
  description: "least frequently used while in cache, the one used longest ago among equals, tail first",
  source: "In-Cache-LFU of Breslau et al., INFOCOM 1999, https://doi.org/10.1109/INFCOM.1999.749260",
  create({ blockCount, isResident }) {
    const heap = new BlockHeap(blockCount);
    const uses = new Float64Array(blockCount);
    let served: Int32Array = new Int32Array();
    let clock = 0;
    const place = (blocks: Int32Array, key: (block: number) => number) => {
      for (let i = blocks.length - 1; i >= 0; i--)
        heap.set(blocks[i] as number, key(blocks[i] as number), -clock++);
    };
    return {
      request({ blocks }) {
        place(served.filter(isResident), (block) => -(uses[block] as number));
        for (const block of blocks) uses[block] = (uses[block] as number) + 1;
        place(blocks, () => Number.NEGATIVE_INFINITY);
        served = blocks;
      },
      victim() {
        const block = heap.take();
        uses[block] = 0;
        return block;
      },
    };
  },
} satisfies Baseline;
