import type { Outcome } from "../runtime/action.ts";
import type { Cache, Lease } from "./cache/kv-cache.ts";
import type { Counters } from "./counters.ts";

/** A prompt to have in cache before it is asked for; only blocks are displaced that are worth less than `prefix` is then. */
export interface PrefetchRequest {
  readonly prefix: string;
  readonly anchor?: string | undefined;
  readonly tokens: readonly number[];
  readonly anchorLength: number;
}

interface Job extends PrefetchRequest {
  readonly resolve: (outcome: Outcome) => void;
  lease: Lease | undefined;
  position: number;
  computed: number;
  /** Why it is to end before it is done. */
  withdrawn: string | undefined;
}

/** Computes prompts ahead, most valuable first, in chunks between which it can be paused or cancelled. */
export class Prefetcher {
  readonly #cache: Cache;
  readonly #counters: () => Counters;
  readonly #chunkTokens: number;
  readonly #jobs: Job[] = [];
  /** The job that `step` is busy with: it ends in `step`, never under its feet. */
  #atWork: Job | undefined;

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

  /** Lets go of the sequence at work, so that requests see and may use what is computed. */
  pause(): void {
    for (const job of this.#jobs) this.#letGo(job);
  }

  /** Computes one chunk of the most valuable job for which there is room. False: there is none for any of them by now. */
  async step(): Promise<boolean> {
    const { owners } = this.#cache.pool;
    const worth = new Map(this.#jobs.map((job) => [job, owners.worth(job.prefix)]));
    const ranked = this.#jobs.toSorted((left, right) => (worth.get(right) ?? 0) - (worth.get(left) ?? 0));
    for (const job of ranked) {
      // It came to its end while others were looked at.
      if (job.withdrawn !== undefined) continue;
      // A more valuable job may have come in front of one that was at work.
      for (const other of ranked) if (other !== job) this.#letGo(other);
      this.#atWork = job;
      const ended = await this.#advance(job, worth.get(job) ?? 0).catch((error: unknown) =>
        this.#fail(job, error),
      );
      this.#atWork = undefined;
      if (job.withdrawn !== undefined) this.#end(job, { status: "cancelled", reason: job.withdrawn });
      else if (ended === "blocked") {
        this.#letGo(job);
        continue;
      } else if (ended !== undefined) this.#end(job, ended);
      return true;
    }
    return false;
  }

  /** Computes one chunk. Undefined: more is left to do; "blocked": there is no room for it yet. */
  async #advance(job: Job, worth: number): Promise<Outcome | "blocked" | undefined> {
    const { pool } = this.#cache;
    const { tokens } = job;
    if (job.lease === undefined) {
      if (!pool.hasRoom(worth)) return this.#stop(job);
      const options = { limit: tokens.length, owner: job.prefix, ceiling: worth, isRequest: false };
      job.lease = await this.#cache.open(tokens, options);
      if (job.lease === undefined) return this.#stop(job);
      job.position = job.lease.reused;
      // Copying a sequence takes a while, in which the request that it is for may have come.
      if (job.withdrawn !== undefined) return undefined;
    }
    const { chain } = job.lease;
    const chunk = tokens.slice(job.position, job.position + this.#chunkTokens);
    if (chunk.length > 0) {
      if (!pool.append(chain, chunk, worth, true)) return this.#stop(job);
      await this.#cache.erase();
      const started = performance.now();
      await this.#cache.evaluate(chain, chunk);
      const counters = this.#counters();
      counters.busyMs += performance.now() - started;
      counters.prefetchedTokens += chunk.length;
      job.position += chunk.length;
      job.computed += chunk.length;
    }
    return job.position >= tokens.length ? { status: "applied" } : undefined;
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
    pool.claim(chain, job.prefix);
    if (job.anchor !== undefined) pool.claimAnchor(chain, job.anchor, job.anchorLength);
    pool.close(chain);
    job.lease = undefined;
  }
}
