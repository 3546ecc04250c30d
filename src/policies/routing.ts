import { z } from "zod";
import { FirstTokenTimes } from "../learn/first-token-times.ts";
import { type Expected, type PromptPath, PrefixPlaces } from "../learn/prefix-places.ts";
import type { Action, Verdict } from "../runtime/action.ts";
import type { CacheEvent } from "../runtime/cache-event.ts";
import type { CallResult, RequestSubject } from "../runtime/call.ts";
import type { Worker } from "../runtime/engine.ts";
import type { Event, Usage } from "../runtime/event.ts";
import {
  definePolicy,
  type GateMoment,
  type Policy,
  type PolicyContext,
  type Prediction,
  type Scored,
} from "../runtime/policy.ts";

const options = z.strictObject({
  loadWeight: z
    .number()
    .nonnegative()
    .default(0.1)
    .describe(
      "What a prompt token of a call under way at a server counts, a token to be computed being 1. More spreads calls, less keeps them where their prefix is.",
    ),
});

type Options = z.output<typeof options>;

/** Prompts remembered of calls that never came to the gate. */
const MAX_PROMPTS = 10_000;

/** What engines call the medium that prompts are computed in. */
const FASTEST = "GPU";

const state = z.record(z.string(), z.number().positive());

/** A call that was sent to a server. */
interface Sent {
  readonly worker: string;
  readonly at: number;
  readonly tokens: number;
  /** Tokens that had to be computed before its first one, those of calls beside it included. */
  readonly before: number;
  readonly expected: Expected;
  /** Tokens under way there when it was sent. */
  readonly underWay: number;
}

/** Calls under way at a server, and their prompt tokens. */
interface UnderWay {
  calls: number;
  tokens: number;
}

interface Load extends UnderWay {
  /** Prompt tokens of all calls ever, for ties. */
  served: number;
}

/** What a call is expected to cost at one server. */
interface Cost {
  readonly worker: string;
  readonly uncached: number;
  readonly expected: Expected;
  /** Prompt tokens, weighed by how slow the server is. */
  readonly cost: number;
}

/**
 * With several servers, a call goes where it is expected to begin its answer first.
 *
 * The cost of a server is counted in prompt tokens. Those of this call that are not cached there count once, and once more for
 * each call under way there: an engine computes them all in turns, so that each waits for the others. To this come, at a tenth,
 * the prompt tokens of the calls under way: a decoding step reads the KV of a thousand tokens in about the time in which one is
 * computed, and an answer has some hundred steps. (The router of Dynamo weighs the same two things:
 * https://docs.nvidia.com/dynamo/design-docs/router-design.) A server that is slower than the others costs as much more.
 *
 * What is cached where is known from what was sent there, since an engine keeps what it computes, and corrected by the cached
 * tokens and the cache events that it tells. So a session stays where it is, and equals go to whoever was given the least.
 */
export default definePolicy({
  name: "routing",
  description: "Among several servers a call goes where its prefix is, unless load says otherwise",
  subject: "request",
  actions: ["route"],
  options,
  create: (context): Policy<"request"> => new Routing(context),
});

class Routing implements Policy<"request"> {
  readonly #options: Options;
  readonly #now: () => number;
  readonly #places = new PrefixPlaces();
  readonly #times = new FirstTokenTimes();
  readonly #loads = new Map<string, Load>();
  /** Servers that were down when they were last seen. */
  readonly #down = new Set<string>();
  /** Prompts of calls that have begun and not left the gate. */
  readonly #prompts = new Map<string, PromptPath>();
  readonly #sent = new Map<string, Sent>();
  /** Blocks that each cache holds, as far as events tell. */
  readonly #blocks = new Map<string, { held: number; tokens: number }>();

  constructor({ options: chosen, clock }: PolicyContext<Options>) {
    this.#options = chosen;
    this.#now = () => clock.now();
  }

  observe(event: Event): void {
    if (event.type === "request-start") this.#begun(event.request, this.#places.path(event.prompt));
    else if (event.type === "request-first-token") this.#firstToken(event.request, event.at);
    else if (event.type === "request-end") {
      this.#prompts.delete(event.request);
      if (event.usage) this.#learn(event.request, event.usage);
    }
  }

  observeCache(event: CacheEvent): void {
    const { worker } = event;
    if (worker === undefined || ("medium" in event && event.medium !== undefined && event.medium !== FASTEST))
      return;
    let cache = this.#blocks.get(worker);
    if (!cache) this.#blocks.set(worker, (cache = { held: 0, tokens: 0 }));
    switch (event.type) {
      case "block-stored":
        cache.held += event.blocks.length;
        cache.tokens = event.blockTokens;
        return;
      case "block-removed":
        // It drops blocks when it is full.
        if (cache.held > 0) this.#places.holds(worker, cache.held * cache.tokens);
        cache.held = Math.max(0, cache.held - event.blocks.length);
        return;
      case "cache-cleared":
        return this.#emptied(worker);
      case "gap":
        if (event.reason === "restart") this.#emptied(worker);
    }
  }

  act(
    ranked: readonly Scored<"request">[],
    _predictions: readonly Prediction[],
    { workers }: GateMoment,
  ): readonly Action[] {
    this.#noteDown(workers);
    const up = workers.filter(({ isUp }) => isUp);
    if (up.length < 2) return [];
    /** Calls before, which may leave together with this one. */
    const ahead = new Map<string, UnderWay>();
    return ranked.map(({ item: call }): Action => {
      const { worker, uncached } = this.#best(call, up, ahead);
      const { calls, tokens } = ahead.get(worker) ?? { calls: 0, tokens: 0 };
      ahead.set(worker, { calls: calls + 1, tokens: tokens + call.tokens });
      const reason = `about ${Math.round(call.tokens - uncached)} of its ${Math.round(call.tokens)} prompt tokens are cached there`;
      return { type: "route", call, baseURL: worker, reason };
    });
  }

  decided(call: RequestSubject, verdict: Verdict): void {
    const path = this.#pathOf(call);
    this.#prompts.delete(call.id);
    if (verdict.type !== "route") return;
    const { baseURL: worker } = verdict;
    const load = this.#load(worker);
    const { uncached, expected } = this.#costAt(call, path, worker);
    this.#sent.set(call.id, {
      worker,
      at: this.#now(),
      tokens: call.tokens,
      before: uncached * (1 + load.calls),
      expected,
      underWay: load.tokens,
    });
    load.calls++;
    load.tokens += call.tokens;
    load.served += call.tokens;
    this.#places.sent(path, worker, uncached);
  }

  ended({ id }: RequestSubject, _result: CallResult): void {
    this.#prompts.delete(id);
    const sent = this.#sent.get(id);
    if (!sent) return;
    this.#sent.delete(id);
    const load = this.#load(sent.worker);
    load.calls--;
    load.tokens = load.calls > 0 ? load.tokens - sent.tokens : 0;
  }

  /** How slow each server is. What is cached where does not outlive the servers, and its hashes not the process. */
  snapshot(): unknown {
    return this.#times.snapshot();
  }

  restore(given: unknown): void {
    this.#times.restore(state.parse(given));
  }

  #best(call: RequestSubject, workers: readonly Worker[], ahead: ReadonlyMap<string, UnderWay>): Cost {
    const path = this.#pathOf(call);
    const costs = workers.map(({ baseURL }) => this.#costAt(call, path, baseURL, ahead.get(baseURL)));
    return costs.reduce((best, one) => {
      if (one.cost !== best.cost) return one.cost < best.cost ? one : best;
      return this.#load(one.worker).served < this.#load(best.worker).served ? one : best;
    });
  }

  #costAt(call: RequestSubject, path: PromptPath, worker: string, ahead?: UnderWay): Cost {
    const expected = this.#places.expected(path, worker);
    const uncached = call.tokens * (1 - expected.share);
    const load = this.#load(worker);
    const calls = load.calls + (ahead?.calls ?? 0);
    const underWay = load.tokens + (ahead?.tokens ?? 0);
    const tokens = uncached * (1 + calls) + this.#options.loadWeight * underWay;
    const cost = (tokens + this.#times.overhead) * this.#times.slowness(worker);
    return { worker, uncached, expected, cost };
  }

  /** What a call found in cache, as its server reports it. */
  #learn(request: string, { promptTokens, cachedTokens, outputTokens }: Usage): void {
    const sent = this.#sent.get(request);
    if (!sent) return;
    if (outputTokens) this.#places.answered(sent.worker, outputTokens);
    if (promptTokens && cachedTokens !== undefined)
      this.#places.found(sent.worker, sent.expected, cachedTokens / promptTokens, sent.underWay);
  }

  #firstToken(request: string, at: number): void {
    const sent = this.#sent.get(request);
    if (sent) this.#times.add(sent.worker, sent.before, Math.max(0, at - sent.at));
  }

  #begun(request: string, path: PromptPath): void {
    const oldest = this.#prompts.keys().next().value;
    if (this.#prompts.size >= MAX_PROMPTS && oldest !== undefined) this.#prompts.delete(oldest);
    this.#prompts.set(request, path);
  }

  /** Of a call of which no event told, the anchor alone is known. */
  #pathOf({ id, anchor, anchorTokens, tokens }: RequestSubject): PromptPath {
    let path = this.#prompts.get(id);
    if (!path) {
      const { steps } = this.#places.path({ anchor: { hash: anchor, length: anchorTokens }, history: [] });
      this.#begun(id, (path = { steps, characters: Math.max(tokens, anchorTokens) }));
    }
    return path;
  }

  /** A server that was down may have lost its cache. */
  #noteDown(workers: readonly Worker[]): void {
    for (const { baseURL, isUp } of workers) {
      if (isUp) this.#down.delete(baseURL);
      else if (!this.#down.has(baseURL)) {
        this.#down.add(baseURL);
        this.#emptied(baseURL);
      }
    }
  }

  #emptied(worker: string): void {
    this.#places.emptied(worker);
    this.#blocks.delete(worker);
  }

  #load(worker: string): Load {
    let load = this.#loads.get(worker);
    if (!load) this.#loads.set(worker, (load = { calls: 0, tokens: 0, served: 0 }));
    return load;
  }
}
