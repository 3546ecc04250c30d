import { BlockHeap } from "../block-heap.ts";
import type { Baseline } from "../cache-policy.ts";

/** Evicts the block whose next use is farthest away, tail first among equals: knows the future, so nothing beats it by much. */
export default {
  name: "belady",
  description: "farthest next use (an oracle: knows all that is to come)",
  source: "Belady 1966, https://doi.org/10.1147/sj.52.0078",
  create({ blockCount, future }) {
    const heap = new BlockHeap(blockCount);
    const nextUse = nextUses(
      future.map(({ call }) => call.blocks),
      blockCount,
    );
    return {
      request({ index, blocks }) {
        const next = nextUse[index];
        for (let i = 0; i < blocks.length; i++) heap.set(blocks[i] as number, next?.[i] ?? 0, i);
      },
      victim: () => heap.take(),
    };
  },
} satisfies Baseline;

/** For each call and position the number of the next call that uses the same block; infinite when none does. */
function nextUses(calls: readonly Int32Array[], blockCount: number): readonly Float64Array[] {
  const last = new Float64Array(blockCount).fill(Number.POSITIVE_INFINITY);
  const result: Float64Array[] = Array.from({ length: calls.length });
  for (let index = calls.length - 1; index >= 0; index--) {
    const blocks = calls[index] as Int32Array;
    result[index] = Float64Array.from(blocks, (block) => last[block] as number);
    for (const block of blocks) last[block] = index;
  }
  return result;
}
