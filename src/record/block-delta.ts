/** A prompt's blocks as what it shares with an earlier call of its run and what is new, as trace files have it. */
export interface BlockDelta {
  /** Index of that call; -1: none. */
  readonly ref: number;
  /** Blocks that both begin with. */
  readonly keep: number;
  /** Each block after these, as a run of one: hashes have no neighbours. */
  readonly new: readonly (readonly [id: number, count: 1])[];
}

/** Earlier calls of a run that a new one is compared with. */
const MAX_CALLS = 8;

/** Writes the prompts of one run as deltas. */
export class BlockDeltas {
  readonly #calls: { readonly index: number; readonly blocks: readonly number[] }[] = [];
  #count = 0;

  /** The delta of the run's next call. */
  next(blocks: readonly number[]): BlockDelta {
    let best = { ref: -1, keep: 0 };
    for (const call of this.#calls) {
      const keep = shared(call.blocks, blocks);
      if (keep >= best.keep && keep > 0) best = { ref: call.index, keep };
    }
    this.#calls.push({ index: this.#count++, blocks });
    if (this.#calls.length > MAX_CALLS) this.#calls.shift();
    return { ...best, new: blocks.slice(best.keep).map((id) => [id, 1] as const) };
  }
}

function shared(a: readonly number[], b: readonly number[]): number {
  let same = 0;
  while (same < a.length && a[same] === b[same]) same++;
  return same;
}
