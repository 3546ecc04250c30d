import type { LlamaContext, LlamaContextSequence } from "node-llama-cpp";
import { evaluate, type Sampling } from "../llama.ts";
import type { Chain } from "./block.ts";
import { BlockPool, type BlockPoolOptions, type OpenOptions } from "./block-pool.ts";
import { copySequence, truncateSequence } from "./sequence-copy.ts";

/** A chain opened for work, its llama sequence already holding the reused tokens. */
export interface Lease {
  readonly chain: Chain;
  /** Tokens that were resident. */
  readonly reused: number;
}

/** What the scheduler needs of the cache. */
export type Cache = Pick<KvCache, "pool" | "open" | "evaluate" | "erase">;

/**
 * The KV cache: what the pool decides, carried out on llama sequences. Everything but `evaluate` must be called
 * between decodes, because llama.cpp's lock on the context waits for them.
 */
export class KvCache {
  readonly pool: BlockPool;
  readonly #context: LlamaContext;
  readonly #sequences: LlamaContextSequence[] = [];

  constructor(context: LlamaContext, options: Omit<BlockPoolOptions, "chains">) {
    this.pool = new BlockPool({ ...options, chains: context.totalSequences });
    this.#context = context;
  }

  /** Opens a chain for these tokens; undefined: every sequence is in use, or worth too much. */
  async open(tokens: readonly number[], options: OpenOptions): Promise<Lease | undefined> {
    const opened = this.pool.open(tokens, options);
    if (opened === undefined) return undefined;
    const { chain, reused, copyFrom } = opened;
    try {
      if (copyFrom !== undefined) await copySequence(this.#sequence(copyFrom), this.#sequence(chain), reused);
      else await truncateSequence(this.#sequence(chain), reused);
    } catch (error) {
      this.pool.drop(chain);
      throw error;
    }
    return { chain, reused };
  }

  /** Evaluates tokens that were appended to the chain; with `sampling`, draws the token that follows. */
  async evaluate(chain: Chain, tokens: readonly number[], sampling?: Sampling): Promise<number | undefined> {
    return evaluate(this.#sequence(chain), tokens, sampling);
  }

  /** Erases from llama's memory what the pool has dropped. */
  async erase(): Promise<void> {
    for (const chain of this.pool.chains) {
      const sequence = this.#sequences[chain.id];
      if (sequence !== undefined && !chain.running) await truncateSequence(sequence, chain.length);
    }
  }

  #sequence(chain: Chain): LlamaContextSequence {
    return (this.#sequences[chain.id] ??= this.#context.getSequence({
      // The default silently drops the beginning; the scheduler never lets a sequence get that long.
      contextShift: {
        strategy: () => {
          throw new Error("[embedded] a sequence outgrew its context");
        },
      },
    }));
  }
}
