import type { LlamaContext, LlamaContextSequence } from "node-llama-cpp";
import { evaluate, type Sampling } from "../llama.ts";
import type { Chain } from "./block.ts";
import { BlockPool, type BlockPoolOptions, type Opened, type OpenOptions } from "./block-pool.ts";
import type { HostTier } from "./host-tier.ts";
import { copySequence, truncateSequence } from "./sequence-copy.ts";

/** A chain opened for work, its llama sequence already holding the reused tokens. */
export interface Lease {
  readonly chain: Chain;
  /** Tokens that were resident, or loaded from the host tier. */
  readonly reused: number;
}

/** What the scheduler needs of the cache. */
export type Cache = Pick<KvCache, "pool" | "open" | "evaluate" | "erase" | "clear">;

/**
 * The KV cache: what the pool decides, carried out on llama sequences. Everything but `evaluate` must be called
 * between decodes, because llama.cpp's lock on the context waits for them.
 */
export class KvCache {
  readonly pool: BlockPool;
  /** Where what is cut goes; undefined: nowhere. */
  readonly host: HostTier | undefined;
  readonly #context: LlamaContext;
  readonly #sequences = new Map<Chain, LlamaContextSequence>();

  constructor(context: LlamaContext, options: Omit<BlockPoolOptions, "chains">, host?: HostTier) {
    this.host = host;
    this.pool = new BlockPool({ ...options, chains: context.totalSequences });
    this.#context = context;
  }

  /** Opens a chain for these tokens; undefined: every sequence is in use, or worth too much. */
  async open(tokens: readonly number[], options: OpenOptions): Promise<Lease | undefined> {
    const opened = this.pool.open(tokens, options);
    if (opened === undefined) return undefined;
    const { chain, reused, copyFrom } = opened;
    try {
      const loaded = await this.#exchange(opened, tokens, options);
      if (loaded === "failed") return await this.open(tokens, options);
      if (loaded > reused) return { chain, reused: loaded };
      if (copyFrom !== undefined) await copySequence(this.#sequence(copyFrom), this.#sequence(chain), reused);
      else await truncateSequence(this.#sequence(chain), reused);
      chain.discarded = false;
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
    for (const [chain, sequence] of this.#sequences) {
      if (chain.running) continue;
      // Of a chain that loses its end the rest is likely to follow, and a state is saved as a whole.
      if (sequence.nextTokenIndex > chain.length && !chain.discarded) await this.host?.save(sequence, 0);
      await truncateSequence(sequence, chain.length);
      chain.discarded = false;
    }
  }

  /** Empties everything, the host tier too. */
  async clear(): Promise<void> {
    this.pool.clear();
    await this.host?.clear();
  }

  /**
   * Saves what an opened chain's sequence held, and loads the host tier's state of `tokens` in its place where that
   * holds more than is resident. Returns the tokens loaded; "failed": the chain is closed, open another.
   */
  async #exchange(
    { chain, reused }: Opened,
    tokens: readonly number[],
    { limit, ceiling }: OpenOptions,
  ): Promise<number | "failed"> {
    const { host, pool } = this;
    if (host === undefined) return 0;
    const sequence = this.#sequence(chain);
    if (!chain.discarded) await host.save(sequence, pool.matching(sequence.contextTokens));
    const match = await host.find(tokens, reused, limit);
    if (match === undefined || !pool.append(chain, tokens.slice(reused, match.length), ceiling)) return 0;
    if (await host.load(match, reused, sequence)) {
      await truncateSequence(sequence, match.length);
      chain.discarded = false;
      return match.length;
    }
    pool.drop(chain);
    this.#sequences.delete(chain);
    await sequence.dispose();
    return "failed";
  }

  #sequence(chain: Chain): LlamaContextSequence {
    const known = this.#sequences.get(chain);
    if (known !== undefined) return known;
    const sequence = this.#context.getSequence({
      // The default silently drops the beginning; the scheduler never lets a sequence get that long.
      contextShift: {
        strategy: () => {
          throw new Error("[embedded] a sequence outgrew its context");
        },
      },
    });
    this.#sequences.set(chain, sequence);
    return sequence;
  }
}
