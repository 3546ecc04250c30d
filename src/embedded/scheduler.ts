import type { Outcome } from "../runtime/action.ts";
import { blockTokens } from "./cache/block.ts";
import type { Cache, Lease } from "./cache/kv-cache.ts";
import { type Counters, zeroCounters } from "./counters.ts";
import { Generation, type GenerationRequest, type GenerationResult } from "./generation.ts";
import type { EmbeddedOptions } from "./options.ts";
import { type PrefetchChunk, Prefetcher, type PrefetchRequest, retryMs } from "./prefetcher.ts";
import { UrgencyList } from "./urgency-list.ts";

export type SchedulerOptions = Pick<
  EmbeddedOptions,
  "maxRunning" | "chunkTokens" | "prefixCaching" | "schedulingPolicy"
>;

interface Step {
  readonly generation: Generation;
  readonly tokens: readonly number[];
}

/** Larger chunks of what can wait would make a request that arrives wait noticeably. */
const smallChunk = 64;

/** The same of prompts where a more urgent one may arrive: it waits for half as long as by default, and throughput stays. */
const pausableChunk = 128;

/** Steps without a rest after which prefetches go on beside answers: where the engine rests, it has time for them between answers. */
const restlessSteps = 32;

/** Thrown into a request that cannot get the KV blocks it needs although nothing else runs. */
export class KvBudgetError extends Error {}

/**
 * Continuous batching: each step computes one token of every answer under way and a chunk of the prompts that wait,
 * first come first served. By priority the most urgent request has its tokens in a step first, answer or prompt, so that
 * others pause; and one that finds no place or no blocks takes those of requests that are less urgent.
 * Cache operations happen between steps; prefetches while no request waits for its first token.
 */
export class Scheduler {
  counters: Counters = zeroCounters();
  readonly #cache: Cache;
  readonly #options: SchedulerOptions;
  readonly #prefetcher: Prefetcher;
  readonly #waiting = new UrgencyList<Generation>();
  readonly #running = new UrgencyList<Generation>();
  #arrivals = 0;
  #stepsSinceRest = 0;
  readonly #loop: Promise<void>;
  #wake: () => void = () => {};
  #isAwake = true;
  #closed: unknown;
  #idle: (() => void)[] = [];

  constructor(cache: Cache, options: SchedulerOptions) {
    this.#cache = cache;
    this.#options = options;
    const chunk = Math.min(options.chunkTokens, smallChunk);
    this.#prefetcher = new Prefetcher(cache, chunk, () => this.counters);
    this.#loop = this.#run();
  }

  get running(): number {
    return this.#running.length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Computes an answer. Aborting frees its place within one step; what is computed stays cached. */
  generate(request: GenerationRequest, signal?: AbortSignal): Promise<GenerationResult> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const priority = this.#options.schedulingPolicy === "priority" ? (request.priority ?? 0) : 0;
    const generation = new Generation(request, { priority, arrival: this.#arrivals++ }, signal);
    this.counters.requests++;
    if (request.prefix !== undefined)
      this.#prefetcher.cancel(request.prefix, "the request it was for has arrived");
    this.#waiting.add(generation);
    signal?.addEventListener("abort", () => this.wake(), { once: true });
    this.wake();
    return generation.done;
  }

  /** Queues a prefetch; see Prefetcher. */
  async prefetch(request: PrefetchRequest, signal?: AbortSignal): Promise<Outcome> {
    if (this.#closed !== undefined || signal?.aborted) return { status: "cancelled", tokens: 0 };
    if (!this.#options.prefixCaching)
      return { status: "ignored", reason: "prefix caching is off", tokens: 0 };
    const outcome = this.#prefetcher.submit(request, signal);
    this.wake();
    return outcome;
  }

  /** Withdraws the prefetch of a prefix. False: there is none. */
  cancelPrefetch(prefix: string): boolean {
    return this.#prefetcher.cancel(prefix, "cancelled");
  }

  /** Resolves when no request and no prefetch is left and dropped blocks are erased. */
  settle(): Promise<void> {
    if (this.#closed !== undefined) return Promise.resolve();
    const settled = new Promise<void>((resolve) => this.#idle.push(resolve));
    this.wake();
    return settled;
  }

  /** Withdraws prefetches, waits for requests, then empties the cache and the counts. */
  async reset(): Promise<void> {
    this.#prefetcher.cancelAll("the engine is being reset");
    await this.settle();
    this.counters = zeroCounters();
    await this.#cache.clear();
    await this.settle();
  }

  /** Ends everything: requests fail with `reason`, prefetches are cancelled. */
  async close(reason: unknown): Promise<void> {
    this.#closed ??= reason;
    this.wake();
    await this.#loop;
  }

  /** Makes the loop look again, for instance at blocks to erase. */
  wake(): void {
    this.#isAwake = true;
    this.#wake();
  }

  async #run(): Promise<void> {
    while (this.#closed === undefined) {
      this.#isAwake = false;
      this.#dropAborted();
      // Requests may use, share or displace what a prefetch has computed so far.
      if (this.#waiting.length > 0) this.#prefetcher.pause();
      await this.#admit();
      if (this.#running.length > 0) {
        const steps = this.#plan();
        await this.#compute(steps, await this.#besideAnswers());
      } else if (this.#waiting.length === 0 && !this.#prefetcher.isIdle) {
        const ahead = await this.#prefetcher.next();
        if (ahead !== undefined) await this.#compute([], ahead);
        else if (!this.#prefetcher.isIdle) await this.#rest(retryMs);
      } else if (this.#waiting.length === 0) await this.#rest();
    }
    this.#prefetcher.pause();
    this.#prefetcher.cancelAll("the engine is closing");
    for (const generation of this.#all) generation.fail(this.#closed);
    for (const resolve of this.#idle) resolve();
  }

  /** Until something comes, or for so many milliseconds when prefetches wait for room. */
  async #rest(most?: number): Promise<void> {
    await this.#cache.erase();
    if (this.#isAwake) return;
    if (most === undefined) {
      for (const resolve of this.#idle) resolve();
      this.#idle = [];
    }
    const timer = most === undefined ? undefined : setTimeout(() => this.#wake(), most);
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    clearTimeout(timer);
    this.#stepsSinceRest = 0;
  }

  #dropAborted(): void {
    for (const generation of this.#all)
      if (generation.signal?.aborted) this.#end(generation, () => generation.fail(generation.signal?.reason));
  }

  get #all(): readonly Generation[] {
    return [...this.#running.items, ...this.#waiting.items];
  }

  async #admit(): Promise<void> {
    for (let next = this.#waiting.first; next !== undefined; next = this.#waiting.first) {
      // Looked up only when its turn has come, a prompt also hits what the ones before it have computed meanwhile.
      if (this.#queuedBefore(next) >= this.#stepTokens || !this.#makeRoom(next)) return;
      const { tokens, request } = next;
      const limit = this.#options.prefixCaching ? tokens.length - 1 : 0;
      const options = { limit, owner: request.prefix, ceiling: Infinity, isRequest: true };
      let lease: Lease | undefined;
      try {
        lease = await this.#cache.open(tokens, options);
      } catch (error) {
        this.#end(next, () => next?.fail(error));
        continue;
      }
      if (lease === undefined) {
        const least = this.#running.last;
        if (least !== undefined && !this.#givesWay(least, next)) return;
        if (least !== undefined) {
          this.#preempt(least);
          continue;
        }
        this.#end(next, () => next?.fail(new KvBudgetError("pinned prefixes hold every sequence")));
        continue;
      }
      this.#waiting.delete(next);
      this.#running.add(next);
      next.lease = lease;
      next.position = lease.reused;
      if (next.cachedTokens !== undefined) continue;
      next.cachedTokens = lease.reused;
      this.counters.promptTokens += request.prompt.length;
      this.counters.hitTokens += lease.reused;
    }
  }

  /** Most tokens in one step; every answer under way takes one of them. */
  get #stepTokens(): number {
    const { chunkTokens, schedulingPolicy } = this.#options;
    return schedulingPolicy === "fcfs"
      ? chunkTokens
      : Math.min(chunkTokens, pausableChunk + this.#running.length);
  }

  /** Prompt tokens of admitted requests that are still to be computed, and that are not for this one to go before. */
  #queuedBefore(next: Generation): number {
    let tokens = 0;
    for (const other of this.#running.items)
      if (!other.isDecoding && !this.#givesWay(other, next)) tokens += other.length - other.position;
    return tokens;
  }

  #givesWay(running: Generation, next: Generation): boolean {
    return running.priority > next.priority;
  }

  /** Finds a place and blocks for one more. The least urgent give way where that helps, and start again later. */
  #makeRoom(next: Generation): boolean {
    const rest = Array.from(this.#running.items);
    const victims: Generation[] = [];
    while (rest.length >= this.#options.maxRunning || (rest.length > 0 && !this.#fits(next, rest, victims))) {
      const least = rest.pop();
      if (least === undefined || !this.#givesWay(least, next)) return false;
      victims.push(least);
    }
    for (const victim of victims) this.#preempt(victim);
    return true;
  }

  /** Prompts that are being computed have a claim on blocks that they do not hold yet. */
  #fits(next: Generation, running: readonly Generation[], gone: readonly Generation[]): boolean {
    const promised = running.reduce((total, { length, position }) => total + length - position, 0);
    const needed = Math.ceil((next.length + 1 + promised) / blockTokens) + running.length;
    const chains = gone.flatMap(({ lease }) => lease?.chain ?? []);
    return needed <= this.#cache.pool.available(new Set(chains));
  }

  #plan(): readonly Step[] {
    const steps: Step[] = [];
    let left = this.#stepTokens;
    let taken = 0;
    const ordered = this.#running.items.toSorted(
      (one, other) => one.priority - other.priority || Number(other.isDecoding) - Number(one.isDecoding),
    );
    let mostUrgentPrompt = Infinity;
    for (const generation of ordered) {
      // What a prompt leaves of its step, less urgent ones take only as far as they do not make it longer for it.
      const most = generation.priority > mostUrgentPrompt ? Math.min(left, smallChunk - taken) : left;
      if (most <= 0) break;
      if (!this.#running.has(generation)) continue;
      const tokens = generation.next(most);
      if (!this.#extend(generation, tokens, steps)) continue;
      if (!generation.isDecoding) mostUrgentPrompt = Math.min(mostUrgentPrompt, generation.priority);
      steps.push({ generation, tokens });
      left -= tokens.length;
      taken += tokens.length;
    }
    return steps;
  }

  /** Finds room for tokens; where there is none, the least urgent request gives way and starts again later. */
  #extend(generation: Generation, tokens: readonly number[], steps: readonly Step[]): boolean {
    const chain = generation.lease?.chain;
    if (chain === undefined) return false;
    while (!this.#cache.pool.append(chain, tokens, Infinity)) {
      if (this.#prefetcher.pause()) continue;
      const victim = this.#running.items.findLast(
        (other) => !steps.some((step) => step.generation === other),
      );
      if (victim === undefined) return false;
      if (victim === generation && this.#running.length === 1) {
        this.#giveUp(generation);
        return false;
      }
      this.#preempt(victim);
      if (victim === generation) return false;
    }
    return true;
  }

  #giveUp(generation: Generation): void {
    this.#end(generation, () => {
      if (generation.outputTokens > 0) generation.finish("length");
      else
        generation.fail(
          new KvBudgetError("the KV budget left by pinned prefixes is too small for this prompt"),
        );
    });
  }

  #preempt(generation: Generation): void {
    this.counters.preemptions++;
    this.#letGo(generation);
    this.#running.delete(generation);
    this.#waiting.add(generation);
  }

  /** What is prefetched in a step of answers: nothing while a request waits for its first token. */
  async #besideAnswers(): Promise<PrefetchChunk | undefined> {
    if (this.#stepsSinceRest < restlessSteps || this.#waiting.length > 0) return undefined;
    const isAnswering = this.#running.items.every((generation) => generation.isDecoding);
    return isAnswering ? this.#prefetcher.nextBesideAnswers() : undefined;
  }

  async #compute(steps: readonly Step[], ahead?: PrefetchChunk): Promise<void> {
    this.#stepsSinceRest++;
    await this.#cache.erase();
    const started = performance.now();
    // Issued in one tick, they make one llama batch.
    const computing = steps.map((step) => this.#evaluate(step));
    const fetching = ahead && this.#cache.evaluate(ahead.chain, ahead.tokens);
    const fetched = fetching?.then(() => ahead?.done(), ahead?.done);
    const results = await Promise.allSettled(computing);
    await fetched;
    this.counters.busyMs += performance.now() - started;
    for (const [index, { generation, tokens }] of steps.entries()) {
      const result = results[index];
      if (result?.status === "fulfilled") this.#advance(generation, tokens.length, result.value);
      else this.#break(generation, result?.reason);
    }
  }

  async #evaluate({ generation, tokens }: Step): Promise<number | undefined> {
    const { lease, position, length, request } = generation;
    if (lease === undefined) return undefined;
    const isLast = position + tokens.length === length && request.maxTokens > 0;
    return this.#cache.evaluate(lease.chain, tokens, isLast ? generation.sampling : undefined);
  }

  #advance(generation: Generation, computed: number, token: number | undefined): void {
    const { prompt } = generation.request;
    this.counters.computedTokens += Math.max(0, Math.min(computed, prompt.length - generation.position));
    generation.position += computed;
    if (generation.position < generation.length) return;
    if (token === undefined) {
      this.#end(generation, () => generation.finish("length"));
      return;
    }
    // From here on the prompt counts as its prefix's, also for requests that start while this one goes on.
    if (generation.outputTokens === 0) this.#claim(generation);
    const before = generation.outputTokens;
    const finish = generation.accept(token);
    this.counters.outputTokens += generation.outputTokens - before;
    if (finish !== undefined) this.#end(generation, () => generation.finish(finish));
  }

  #break(generation: Generation, reason: unknown): void {
    const chain = generation.lease?.chain;
    generation.lease = undefined;
    if (chain !== undefined) this.#cache.pool.drop(chain);
    this.#end(generation, () => generation.fail(reason));
  }

  #end(generation: Generation, settle: () => void): void {
    this.#running.delete(generation);
    this.#waiting.delete(generation);
    this.#letGo(generation);
    settle();
  }

  #claim({ lease, request }: Generation): void {
    if (lease === undefined || !this.#options.prefixCaching) return;
    const { chain } = lease;
    if (request.prefix !== undefined)
      this.#cache.pool.claim(chain, request.prefix, chain.length, request.prompt.length);
    if (request.anchor !== undefined)
      this.#cache.pool.claimAnchor(chain, request.anchor, request.anchorLength, request.prefix);
  }

  #letGo(generation: Generation): void {
    const { lease } = generation;
    if (lease === undefined) return;
    this.#claim(generation);
    if (this.#options.prefixCaching) this.#cache.pool.close(lease.chain);
    else this.#cache.pool.drop(lease.chain);
    generation.lease = undefined;
  }
}
