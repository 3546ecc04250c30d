import { EngineError } from "../errors.ts";
import type { Hint, Outcome } from "../runtime/action.ts";
import type { CacheEvent } from "../runtime/cache-event.ts";
import type {
  EngineAdapter,
  EngineInfo,
  OutgoingCall,
  PromptTotals,
  Route,
  Worker,
} from "../runtime/engine.ts";
import type {
  AgentId,
  Event,
  RequestEndEvent,
  RequestFirstTokenEvent,
  RequestStartEvent,
  SessionId,
} from "../runtime/event.ts";
import { addedUp, replicaStatus } from "./replica-status.ts";
import { mergeEvents } from "./merge-events.ts";
import { Placements } from "./placements.ts";
import { Sessions } from "./sessions.ts";
import { UnderWay } from "./under-way.ts";

export interface ReplicaOptions {
  /** Milliseconds after which a server that was down is asked again. Default 5,000. */
  readonly coolDownMs?: number;
  /** Milliseconds on any clock. */
  readonly now?: () => number;
}

interface Replica {
  readonly adapter: EngineAdapter;
  /** When it was last found to be down; undefined while it is up. */
  downAt: number | undefined;
  isAsked: boolean;
  /** Requests that were sent there and have not ended. */
  readonly requests: Set<string>;
  served: PromptTotals;
}

const COOL_DOWN_MS = 5000;

/**
 * Several servers of one kind as one adapter. A session sticks to its server by rendezvous hashing: nothing is remembered, a
 * server that is down hands its sessions, and only those, to the others, and gets them back with its return. It is asked
 * whether it is back only while calls come.
 *
 * Where a policy chooses the server, that is remembered, and what is said about the run's prefixes goes there.
 */
export function createReplicas(
  adapters: readonly EngineAdapter[],
  options: ReplicaOptions = {},
): EngineAdapter {
  const [first] = adapters;
  if (!first) throw new RangeError("there must be one server at least");
  const replicas = new Replicas(adapters, options);
  const canTokenize = first.tokenize !== undefined;
  return {
    specificationVersion: "v1",
    name: first.name,
    get supports() {
      return first.supports;
    },
    get baseURL() {
      return first.baseURL;
    },
    ...(first.prefetchesAtOnce !== undefined && {
      prefetchesAtOnce: adapters.reduce((sum, { prefetchesAtOnce = 0 }) => sum + prefetchesAtOnce, 0),
    }),
    ...(first.apiKey !== undefined && { apiKey: first.apiKey }),
    get warmUps() {
      const all = adapters.flatMap(({ warmUps }) => warmUps ?? []);
      return all.length === 0 ? undefined : addedUp(all);
    },
    connect: (signal) => replicas.connect(signal),
    decorate: (call, decisions) => replicas.begin(call)?.decorate?.(call, decisions) ?? {},
    observe: (event) => replicas.observe(event),
    answered: (call, headers) => replicas.of(call).answered?.(call, headers),
    route: (call) => replicas.route(call),
    workers: () => replicas.workers(),
    ...(canTokenize && {
      tokenize: async (body, signal) => (await replicas.any().tokenize?.(body, signal)) ?? [],
    }),
    apply: (hints, signal) => replicas.apply(hints, signal),
    ...(adapters.some(({ events }) => events) && {
      readsEvents: adapters.some(({ readsEvents }) => readsEvents),
      events: (signal) =>
        mergeEvents(
          adapters.flatMap((adapter) =>
            adapter.events ? named(adapter.events(signal), adapter.baseURL) : [],
          ),
          signal,
        ),
    }),
    ...(adapters.some(({ status }) => status) && { status: (signal) => replicaStatus(adapters, signal) }),
    close: async () => void (await Promise.all(adapters.map((adapter) => adapter.close()))),
  };
}

class Replicas {
  readonly #replicas: readonly Replica[];
  readonly #coolDownMs: number;
  readonly #now: () => number;
  readonly #sessions = new Sessions();
  readonly #placements = new Placements<Replica>();
  /** Requests under way: of some it is not known yet who gets them. */
  readonly #starting = new UnderWay<RequestStartEvent>();

  constructor(adapters: readonly EngineAdapter[], { coolDownMs, now }: ReplicaOptions) {
    this.#replicas = adapters.map((adapter) => ({
      adapter,
      downAt: undefined,
      isAsked: false,
      requests: new Set(),
      served: { requests: 0, promptTokens: 0, cachedTokens: 0 },
    }));
    this.#coolDownMs = coolDownMs ?? COOL_DOWN_MS;
    this.#now = now ?? (() => performance.now());
  }

  /** Connects to all; one that answers is enough. */
  async connect(signal?: AbortSignal): Promise<EngineInfo> {
    const results = await Promise.allSettled(this.#replicas.map(({ adapter }) => adapter.connect(signal)));
    const infos: { readonly info: EngineInfo; readonly baseURL: string }[] = [];
    const reasons: unknown[] = [];
    for (const [index, result] of results.entries()) {
      const replica = this.#replicas[index] as Replica;
      replica.downAt = result.status === "fulfilled" ? undefined : this.#now();
      if (result.status === "rejected") reasons.push(result.reason);
      else infos.push({ info: result.value, baseURL: replica.adapter.baseURL });
    }
    const [first, ...others] = infos;
    if (!first) throw reasons[0];
    for (const { info, baseURL } of others) {
      const isAlike = info.models.some((id) => first.info.models.includes(id));
      if (isAlike || info.models.length === 0 || first.info.models.length === 0) continue;
      const offers = `${first.baseURL} offers ${first.info.models.join(", ")}, ${baseURL} ${info.models.join(", ")}`;
      throw new EngineError("ENGINE_UNSUPPORTED", info.engine, offers, {
        hint: "Several urls stand in for each other: list those of one model, and connect to another model's by itself.",
      });
    }
    return first.info;
  }

  /** The server that a call was sent to. */
  of(call: OutgoingCall): EngineAdapter {
    return (this.#named(call.worker) ?? this.#home(keyOf(call), call.identity.agent)).adapter;
  }

  /** The server that a call will be sent to, which is told that it begins; undefined when it is none of these. */
  begin(call: OutgoingCall): EngineAdapter | undefined {
    return this.#begin(call)?.adapter;
  }

  any(): EngineAdapter {
    return this.#pick("").adapter;
  }

  workers(): readonly Worker[] {
    return this.#replicas.map(({ adapter, downAt, requests, served }) => ({
      baseURL: adapter.baseURL,
      isUp: downAt === undefined,
      underWay: requests.size,
      served,
    }));
  }

  route(call: OutgoingCall): Route | undefined {
    const replica = this.#begin(call);
    if (!replica) return undefined;
    const { identity, worker, isRepeat } = call;
    if (worker !== undefined && !isRepeat) this.#placements.place(keyOf(call), identity.agent, replica);
    return {
      baseURL: replica.adapter.baseURL,
      settled: (isAnswered) => {
        if (isAnswered) replica.downAt = undefined;
        else replica.downAt ??= this.#now();
      },
    };
  }

  /** What happens to a request is told to the server that has it, everything else to all. */
  observe(event: Event): void {
    this.#sessions.observe(event);
    if ("request" in event) return this.#observeRequest(event);
    for (const { adapter } of this.#replicas) adapter.observe?.(event);
  }

  #observeRequest(event: RequestStartEvent | RequestFirstTokenEvent | RequestEndEvent): void {
    if (event.type === "request-start") {
      for (const lost of this.#starting.begin(event.request, event.at, event))
        for (const { requests } of this.#replicas) requests.delete(lost.request);
      return;
    }
    for (const replica of this.#replicas) {
      const { adapter, requests } = replica;
      if (!requests.has(event.request)) continue;
      if (event.type === "request-end") {
        requests.delete(event.request);
        const { promptTokens = 0, cachedTokens = 0 } = event.usage ?? {};
        if (event.status === "completed")
          replica.served = addedUp([replica.served, { requests: 1, promptTokens, cachedTokens }]);
      }
      adapter.observe?.(event);
    }
    if (event.type === "request-end") this.#starting.end(event.request);
  }

  /**
   * Hints about a run go to its server, those about an anchor to all that are up; the best outcome is told. Of a run whose
   * place a policy has still to choose, all are told; but it is prefetched on one only.
   */
  async apply(hints: readonly Hint[], signal?: AbortSignal): Promise<readonly Outcome[]> {
    const up = this.#replicas.filter(({ downAt }) => downAt === undefined);
    const targets = (hint: Hint): readonly EngineAdapter[] => {
      const session = this.#sessions.of(hint.prefix);
      const isOpen = this.#placements.isUsed && hint.type !== "prefetch";
      if (session !== undefined && (!isOpen || this.#placements.of(session, hint.prefix.agent)))
        return [this.#home(session, hint.prefix.agent).adapter];
      return (up.length > 0 ? up : this.#replicas).map(({ adapter }) => adapter);
    };
    const outcomes = new Map<Hint, Outcome>();
    await Promise.all(
      this.#replicas.map(async ({ adapter }) => {
        const own = hints.filter((hint) => targets(hint).includes(adapter));
        if (own.length === 0) return;
        for (const [index, outcome] of (await adapter.apply(own, signal)).entries()) {
          const hint = own[index] as Hint;
          if (outcomes.get(hint)?.status !== "applied") outcomes.set(hint, outcome);
        }
      }),
    );
    return hints.map((hint) => outcomes.get(hint) ?? { status: "failed", reason: "no server took it" });
  }

  #named(baseURL: string | undefined): Replica | undefined {
    return baseURL === undefined
      ? undefined
      : this.#replicas.find(({ adapter }) => adapter.baseURL === baseURL);
  }

  #begin(call: OutgoingCall): Replica | undefined {
    const { worker, request, isRepeat, identity } = call;
    const wanted = this.#named(worker);
    if (worker !== undefined && !wanted) return undefined;
    this.#askWhoIsDown();
    const isTaken = wanted && (isRepeat === true || wanted.downAt === undefined);
    const replica = isTaken ? wanted : this.#home(keyOf(call), identity.agent);
    if (request === undefined || replica.requests.has(request)) return replica;
    const start = this.#starting.get(request);
    // Without its start, nobody will tell its end.
    if (start) {
      replica.requests.add(request);
      replica.adapter.observe?.(start);
    }
    return replica;
  }

  /** Where a session's prefix is, or is going to be. */
  #home(session: SessionId, agent: AgentId): Replica {
    const placed = this.#placements.of(session, agent);
    return placed && placed.downAt === undefined ? placed : this.#pick(session);
  }

  #askWhoIsDown(): void {
    for (const replica of this.#replicas) if (replica.downAt !== undefined) this.#ask(replica);
  }

  #pick(key: string): Replica {
    let best: Replica | undefined;
    let bestWeight = -1;
    const isAnyUp = this.#replicas.some(({ downAt }) => downAt === undefined);
    this.#askWhoIsDown();
    for (const replica of this.#replicas) {
      if (replica.downAt !== undefined && isAnyUp) continue;
      const weight = hash(`${key}\n${replica.adapter.baseURL}`);
      if (weight <= bestWeight) continue;
      best = replica;
      bestWeight = weight;
    }
    return best as Replica;
  }

  /** Asks a server that was down whether it is back, once in a while and aside from any call. */
  #ask(replica: Replica): void {
    if (replica.isAsked || replica.downAt === undefined || this.#now() - replica.downAt < this.#coolDownMs)
      return;
    replica.isAsked = true;
    void replica.adapter
      .connect()
      .then(
        () => (replica.downAt = undefined),
        () => (replica.downAt = this.#now()),
      )
      .finally(() => (replica.isAsked = false));
  }
}

async function* named(events: AsyncIterable<CacheEvent>, worker: string): AsyncGenerator<CacheEvent> {
  for await (const event of events) yield { ...event, worker };
}

function keyOf({ identity: { session, run } }: OutgoingCall): string {
  return session ?? run;
}

/** FNV-1a with a final mix, 32 bits: https://en.wikipedia.org/wiki/Fowler-Noll-Vo_hash_function */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
