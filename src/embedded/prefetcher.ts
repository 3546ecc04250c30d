import type { Outcome } from "../runtime/action.ts";
import type { Chain } from "./cache/block.ts";
import type { Cache, Lease } from "./cache/kv-cache.ts";
import type { Counters } from "./counters.ts";

/** Milliseconds after which prefetches for which there was no room are tried again: their values rise with time. */
export const retryMs = 20;

/**
 * Most tokens beside answers. A step of few tokens reads as much of model and cache as one of many, so that these cost less than
 * alone; but the answers wait for them.
 */
const besideAnswers = 32;

/** A prompt to have in cache before it is asked for; only blocks are displaced that are worth less than `prefix` is then. */
export interface PrefetchRequest {
  readonly prefix: string;
  readonly anchor?: string | undefined;
  readonly tokens: readonly number[];
  readonly anchorLength: number;
}

/** Tokens of a prefetch that have their blocks and are to be computed now. */
export interface PrefetchChunk {
  readonly chain: Chain;
  readonly tokens: readonly number[];
  /** To be called when they are computed, or with why they could not be. */
  readonly done: (error?: unknown) => void;
}

interface Job extends PrefetchRequest {
  readonly resolve: (outcome: Outcome) => void;
  lease: Lease | undefined;
  position: number;
  computed: number;
  /** Why it is to end before it is done. */
  withdrawn: string | undefined;
}

/** Prompts to compute ahead, most valuable first, in chunks between which they can be paused or cancelled. */
export class Prefetcher {
  readonly #cache: Cache;
  readonly #counters: () => Counters;
  readonly #chunkTokens: number;
  readonly #jobs: Job[] = [];
  /** The job that is looked at or computed: it ends after that, never meanwhile. */
  #atWork: Job | undefined;
  /** When there may be room again, in milliseconds of the clock. */
  #roomAt = 0;

  constructor(cache: Cache, chunkTokens: number, counters: () => Counters) {
    this.#cache = cache;
    this.#chunkTokens = chunkTokens;
    this.#counters = counters;
  }

  get isIdle(): boolean {
    return this.#jobs.length === 0;
  }

  /** Queues a prefetch, in place of one for the same prefix. Resolves when it is done, stopped or cancelled. */
  submit(request: PrefetchRequest, signal?: AbortSignal): Promise<Outcome> {
    this.cancel(request.prefix, "another prefetch of this prefix took its place");
    return new Promise((resolve) => {
      const job: Job = {
        ...request,
        resolve,
        lease: undefined,
        position: 0,
        computed: 0,
        withdrawn: undefined,
      };
      this.#jobs.push(job);
      signal?.addEventListener("abort", () => this.#withdraw(job, "the caller went away"), { once: true });
    });
  }

  /** Withdraws the prefetch of a prefix. False: there is none. */
  cancel(prefix: string, reason: string): boolean {
    const jobs = this.#jobs.filter((job) => job.prefix === prefix && job.withdrawn === undefined);
    for (const job of jobs) this.#withdraw(job, reason);
    return jobs.length > 0;
  }

  cancelAll(reason: string): void {
    for (const job of Array.from(this.#jobs)) this.#withdraw(job, reason);
  }

  /** Lets go of the sequence at work, so that requests see and may use what is computed. False: there was none. */
  pause(): boolean {
    const open = this.#jobs.filter(({ lease }) => lease !== undefined);
    for (const job of open) this.#letGo(job);
    return open.length > 0;
  }

  /** Like `next`, for a step of answers; undefined as well where there was no room a moment ago. */
  async nextBesideAnswers(): Promise<PrefetchChunk | undefined> {
    // Looking for room costs more than a token of an answer does.
    if (this.isIdle || performance.now() < this.#roomAt) return undefined;
    const chunk = await this.next(Math.min(besideAnswers, this.#chunkTokens));
    if (chunk === undefined) this.#roomAt = performance.now() + retryMs;
    return chunk;
  }

  /**
   * The next chunk of the most valuable job for which there is room. Undefined: there is no room for any of them by now. The caller
   * computes it and says when it is done before it asks for another.
   */
  async next(most = this.#chunkTokens): Promise<PrefetchChunk | undefined> {
    const { owners } = this.#cache.pool;
    const worth = new Map(this.#jobs.map((job) => [job, owners.worth(job.prefix)]));
    const ranked = this.#jobs.toSorted((left, right) => (worth.get(right) ?? 0) - (worth.get(left) ?? 0));
    for (const job of ranked) {
      // It came to its end while others were looked at.
      if (job.withdrawn !== undefined) continue;
      // A more valuable job may have come in front of one that was at work.
      for (const other of ranked) if (other !== job) this.#letGo(other);
      this.#atWork = job;
      const taken = await this.#take(job, worth.get(job) ?? 0, most).catch((error: unknown) =>
        this.#fail(job, error),
      );
      if (taken !== "blocked" && "chain" in taken) return taken;
      this.#atWork = undefined;
      if (job.withdrawn !== undefined) this.#end(job, { status: "cancelled", reason: job.withdrawn });
      else if (taken === "blocked") this.#letGo(job);
      else this.#end(job, taken);
    }
    return undefined;
  }

  /** Finds blocks for the job's next tokens. Else how it ends; "blocked": there is no room for it yet. */
  async #take(job: Job, worth: number, most: number): Promise<PrefetchChunk | Outcome | "blocked"> {
    const { pool } = this.#cache;
    if (job.lease === undefined) {
      if (!pool.hasRoom(worth)) return this.#stop(job);
      const options = { limit: job.tokens.length, owner: job.prefix, ceiling: worth, isRequest: false };
      job.lease = await this.#cache.open(job.tokens, options);
      if (job.lease === undefined) return this.#stop(job);
      job.position = job.lease.reused;
      // Copying a sequence takes a while, in which the request that it is for may have come.
      if (job.withdrawn !== undefined) return { status: "cancelled" };
    }
    const { chain } = job.lease;
    const tokens = job.tokens.slice(job.position, job.position + most);
    if (tokens.length === 0) return { status: "applied" };
    if (!pool.append(chain, tokens, worth, true)) return this.#stop(job);
    return { chain, tokens, done: (error) => this.#done(job, tokens.length, error) };
  }

  #done(job: Job, computed: number, error: unknown): void {
    this.#atWork = undefined;
    if (error === undefined) {
      this.#counters().prefetchedTokens += computed;
      job.position += computed;
      job.computed += computed;
    }
    const failure = error === undefined ? undefined : this.#fail(job, error);
    if (job.withdrawn !== undefined) this.#end(job, { status: "cancelled", reason: job.withdrawn });
    else if (failure !== undefined) this.#end(job, failure);
    else if (job.position >= job.tokens.length) this.#end(job, { status: "applied" });
  }

  /** What is resident is worth more; that may change as long as the job's own value rises. */
  #stop(job: Job): Outcome | "blocked" {
    if (this.#cache.pool.owners.isRising(job.prefix)) return "blocked";
    const reason = `stopped at ${job.position} of ${job.tokens.length} tokens: what is resident is worth more`;
    return { status: job.computed > 0 ? "applied" : "ignored", reason };
  }

  #withdraw(job: Job, reason: string): void {
    job.withdrawn ??= reason;
    if (job !== this.#atWork) this.#end(job, { status: "cancelled", reason });
  }

  #fail(job: Job, error: unknown): Outcome {
    if (job.lease !== undefined) this.#cache.pool.drop(job.lease.chain);
    job.lease = undefined;
    return { status: "failed", reason: String(error) };
  }

  #end(job: Job, outcome: Outcome): void {
    const index = this.#jobs.indexOf(job);
    if (index < 0) return;
    this.#jobs.splice(index, 1);
    this.#letGo(job);
    job.resolve({ ...outcome, tokens: job.computed });
  }

  #letGo(job: Job): void {
    if (job.lease === undefined) return;
    const { chain } = job.lease;
    const { pool } = this.#cache;
    pool.claim(chain, job.prefix, chain.length, job.tokens.length);
    if (job.anchor !== undefined) pool.claimAnchor(chain, job.anchor, job.anchorLength);
    pool.close(chain);
    job.lease = undefined;
  }
}
