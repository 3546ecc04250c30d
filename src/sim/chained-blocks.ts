import type { RecordedCall, Workload } from "./workload.ts";

/**
 * The workload with an id of its own for each block after each beginning. What an engine caches of a block holds only after
 * the blocks before it, but a trace may number blocks by their own text alone. Where ids commit to all before them, as the
 * hashes of engines do, they stay as they are. Afterwards no prompt has a block twice.
 */
export function chainBlocks(workload: Workload): Workload {
  const ids = new ChainedIds(workload.blockCount);
  const runs = workload.runs.map((run) => ({
    ...run,
    calls: run.calls.map((call): RecordedCall => {
      const blocks = ids.of(call.blocks);
      return blocks === call.blocks ? call : { ...call, blocks };
    }),
  }));
  return { ...workload, blockCount: ids.count, runs };
}

class ChainedIds {
  #count: number;
  /** By block as recorded: the block before it where it was first met, -1 at a prompt's start; -2: not met yet. */
  readonly #first: Int32Array;
  /** Blocks met after others as well: their ids by block and the one before. */
  readonly #others = new Map<number, Map<number, number>>();

  constructor(count: number) {
    this.#count = count;
    this.#first = new Int32Array(count).fill(-2);
  }

  get count(): number {
    return this.#count;
  }

  /** The same array when no id changes. */
  of(blocks: Int32Array): Int32Array {
    let chained = blocks;
    let before = -1;
    for (let at = 0; at < blocks.length; at++) {
      const block = blocks[at] as number;
      const id = this.#id(block, before);
      if (id !== block) {
        if (chained === blocks) chained = blocks.slice();
        chained[at] = id;
      }
      before = id;
    }
    return chained;
  }

  #id(block: number, before: number): number {
    const first = this.#first[block];
    if (first === before) return block;
    if (first === -2) {
      this.#first[block] = before;
      return block;
    }
    let others = this.#others.get(block);
    if (!others) this.#others.set(block, (others = new Map()));
    let id = others.get(before);
    if (id === undefined) others.set(before, (id = this.#count++));
    return id;
  }
}
