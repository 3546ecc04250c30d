import type { CacheStates } from "../runtime/cache-state.ts";
import type { EngineStatus } from "../runtime/engine.ts";
import type { Event, RequestEndEvent, RequestStartEvent } from "../runtime/event.ts";
import { AgentFlow } from "./agent-flow.ts";
import { EngineWatch } from "./engine-watch.ts";
import { addFirstToken, History } from "./history.ts";
import { HookTimes } from "./hook-times.ts";
import { Newest } from "../runtime/newest.ts";
import { RunTimelines } from "./run-timelines.ts";
import { type ShadowShares, Shadows } from "../shadow/shadows.ts";
import type { DashboardSource } from "./source.ts";

interface OpenRequest {
  readonly startedAt: number;
  firstTokenAt?: number;
  /** What the shadows found; absent: the engine's capacity is not known. */
  readonly shares?: ShadowShares;
}

export interface ObservedOptions {
  /** KV budget of the engine in tokens, where it does not tell itself. */
  readonly kvTokens: number | undefined;
  /** Milliseconds between two questions to the engine. */
  readonly everyMs: number;
}

const MAX_REQUESTS = 10_000;
const MAX_FAULT_KINDS = 100;
/** Characters over which the learned ratio of characters to tokens is asked for. */
const MANY_CHARACTERS = 1_000_000;

/** All that a dashboard knows. Work is constant per event, but for the parts of a prompt; memory is bounded. */
export class Observed {
  readonly source: DashboardSource;
  readonly history: History;
  readonly flow: AgentFlow;
  readonly runs = new RunTimelines();
  readonly engine: EngineWatch;
  readonly hookTimes: ReadonlyMap<string, HookTimes>;
  /** Faults by place and kind of error. */
  readonly faults = new Newest<string, number>(MAX_FAULT_KINDS);
  readonly #requests = new Newest<string, OpenRequest>(MAX_REQUESTS);
  readonly #shadows = new Shadows();
  readonly #stop: () => void;
  /** The engine may hold what was asked for before a shadow looked on; it catches up by the time it is full. */
  readonly #sawAll: boolean;
  #capacityTokens: number | undefined;
  #events = 0;

  constructor(source: DashboardSource, { kvTokens, everyMs }: ObservedOptions) {
    this.source = source;
    this.#capacityTokens = kvTokens;
    this.#sawAll = source.ledger.count === 0;
    this.history = new History(source.clock.now());
    this.flow = new AgentFlow(source.predictor);
    this.hookTimes = new Map(
      source.policies.map(({ name, policy }) => [name, new HookTimes(policy, hostNow)]),
    );
    const { adapter, clock } = source;
    this.engine = new EngineWatch({
      adapter,
      everyMs,
      now: () => clock.now(),
      onStatus: (status) => this.#noteStatus(status),
    });
    this.#stop = source.watch({
      event: (event) => this.#observe(event),
      fault: (where, error) => {
        const kind = `${where}: ${error instanceof Error ? error.name : typeof error}`;
        this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
      },
    });
  }

  /** Events seen. */
  get events(): number {
    return this.#events;
  }

  /** What the engine's caches hold by its events. */
  get caches(): CacheStates {
    return this.source.caches?.() ?? { stream: "unoffered", caches: [] };
  }

  /** Tokens in the engine's cache, by its own word or by its events; undefined where neither tells. */
  get residentTokens(): number | undefined {
    const { caches } = this.caches;
    const counted = caches.reduce((sum, { residentTokens }) => sum + residentTokens, 0);
    return this.engine.health.status?.residentTokens ?? (caches.length > 0 ? counted : undefined);
  }

  /** KV budget in tokens; undefined while it is not known, and shadows with it. */
  get capacityTokens(): number | undefined {
    return this.#capacityTokens;
  }

  /** Whether the shadows know what the engine has been asked for so far. */
  get shadowsCount(): boolean {
    return this.#capacityTokens !== undefined && (this.#sawAll || this.#shadows.wereFull);
  }

  /** Lets go of everything that it looks at. */
  stop(): void {
    this.#stop();
    this.engine.stop();
    for (const times of this.hookTimes.values()) times.stop();
  }

  #observe(event: Event): void {
    this.#events++;
    this.flow.observe(event);
    this.runs.observe(event);
    switch (event.type) {
      case "run-start":
        return this.#shadows.started(event.run, event.session);
      case "request-start":
        return this.#requestStarted(event);
      case "request-first-token": {
        const request = this.#requests.get(event.request);
        if (request) request.firstTokenAt ??= event.at;
        return;
      }
      case "request-end":
        return this.#requestEnded(event);
      case "run-end":
        return this.#shadows.ended(event.run, event.session);
      default:
        return;
    }
  }

  #requestStarted({ request, run, agent, at, prompt }: RequestStartEvent): void {
    if (this.#capacityTokens === undefined) {
      this.#requests.set(request, { startedAt: at });
      return;
    }
    const capacity = this.#capacityTokens / this.#tokensPerCharacter();
    this.#requests.set(request, {
      startedAt: at,
      shares: this.#shadows.request(run, agent, prompt, capacity),
    });
  }

  #requestEnded({ request: id, run, agent, at, status, usage }: RequestEndEvent): void {
    const request = this.#requests.get(id);
    if (!request) return;
    this.#requests.delete(id);
    this.engine.requestEnded(status === "completed");
    const bucket = this.history.at(at);
    bucket.requests++;
    const { promptTokens, cachedTokens, outputTokens = 0 } = usage ?? {};
    const cachedShare = promptTokens && cachedTokens !== undefined ? cachedTokens / promptTokens : undefined;
    if (request.firstTokenAt !== undefined) {
      const kind = cachedShare === undefined ? 2 : cachedShare >= 0.5 ? 0 : 1;
      addFirstToken(bucket.firstTokens[kind], request.firstTokenAt - request.startedAt);
    }
    const { shares } = request;
    if (shares) this.#shadows.answered(run, agent, outputTokens / this.#tokensPerCharacter());
    if (promptTokens === undefined || cachedTokens === undefined) return;
    bucket.promptTokens += promptTokens;
    bucket.cachedTokens += cachedTokens;
    if (!shares || !this.shadowsCount) return;
    bucket.shadowedTokens += promptTokens;
    bucket.lruTokens += shares.lru * promptTokens;
    bucket.releaseTokens += shares.release * promptTokens;
  }

  #noteStatus({ capacityTokens }: EngineStatus): void {
    const capacity = (this.#capacityTokens = capacityTokens || this.#capacityTokens);
    const { residentTokens } = this;
    if (residentTokens === undefined || !capacity) return;
    this.history.at(this.source.clock.now()).occupancy = Math.min(1, residentTokens / capacity);
  }

  #tokensPerCharacter(): number {
    return this.source.predictor.tokens(MANY_CHARACTERS) / MANY_CHARACTERS || 0.25;
  }
}

function hostNow(): number {
  return performance.now();
}
