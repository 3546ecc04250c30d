import type { Hint, Outcome } from "../runtime/action.ts";
import type { EngineAdapter, EngineInfo, OutgoingCall, PromptTotals, Route } from "../runtime/engine.ts";
import type { Event } from "../runtime/event.ts";
import { mergeEvents } from "./merge-events.ts";
import { Sessions } from "./sessions.ts";

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
}

const COOL_DOWN_MS = 5000;

/**
 * Several servers of one kind as one adapter. A session sticks to its server by rendezvous hashing: nothing is remembered, a
 * server that is down hands its sessions, and only those, to the others, and gets them back with its return. It is asked
 * whether it is back only while calls come.
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
      return addedUp(adapters.flatMap(({ warmUps }) => warmUps ?? []));
    },
    connect: (signal) => replicas.connect(signal),
    decorate: (call, decisions) => replicas.of(keyOf(call)).decorate?.(call, decisions) ?? {},
    observe: (event) => replicas.observe(event),
    answered: (call, headers) => replicas.of(keyOf(call)).answered?.(call, headers),
    route: (call) => replicas.route(call),
    ...(canTokenize && {
      tokenize: async (body, signal) => (await replicas.of("").tokenize?.(body, signal)) ?? [],
    }),
    apply: (hints, signal) => replicas.apply(hints, signal),
    events: (signal) =>
      mergeEvents(
        adapters.flatMap((adapter) => adapter.events?.(signal) ?? []),
        signal,
      ),
    close: async () => void (await Promise.all(adapters.map((adapter) => adapter.close()))),
  };
}

class Replicas {
  readonly #replicas: readonly Replica[];
  readonly #coolDownMs: number;
  readonly #now: () => number;
  readonly #sessions = new Sessions();

  constructor(adapters: readonly EngineAdapter[], { coolDownMs, now }: ReplicaOptions) {
    this.#replicas = adapters.map((adapter) => ({ adapter, downAt: undefined, isAsked: false }));
    this.#coolDownMs = coolDownMs ?? COOL_DOWN_MS;
    this.#now = now ?? (() => performance.now());
  }

  /** Connects to all; one that answers is enough. */
  async connect(signal?: AbortSignal): Promise<EngineInfo> {
    const results = await Promise.allSettled(this.#replicas.map(({ adapter }) => adapter.connect(signal)));
    const infos: EngineInfo[] = [];
    const reasons: unknown[] = [];
    for (const [index, result] of results.entries()) {
      const replica = this.#replicas[index] as Replica;
      replica.downAt = result.status === "fulfilled" ? undefined : this.#now();
      if (result.status === "fulfilled") infos.push(result.value);
      else reasons.push(result.reason);
    }
    const [info] = infos;
    if (!info) throw reasons[0];
    return info;
  }

  of(key: string): EngineAdapter {
    return this.#pick(key).adapter;
  }

  route(call: OutgoingCall): Route {
    const replica = this.#pick(keyOf(call));
    return {
      baseURL: replica.adapter.baseURL,
      settled: (isAnswered) => {
        if (isAnswered) replica.downAt = undefined;
        else replica.downAt ??= this.#now();
      },
    };
  }

  observe(event: Event): void {
    const session =
      "run" in event ? ("session" in event && event.session) || this.#sessions.of(event) : undefined;
    this.#sessions.observe(event);
    if (session !== undefined) this.of(session).observe?.(event);
    else for (const { adapter } of this.#replicas) adapter.observe?.(event);
  }

  /** Hints about a run go to its server, those about an anchor to all that are up; the best outcome is told. */
  async apply(hints: readonly Hint[], signal?: AbortSignal): Promise<readonly Outcome[]> {
    const up = this.#replicas.filter(({ downAt }) => downAt === undefined);
    const targets = (hint: Hint): readonly EngineAdapter[] => {
      const session = this.#sessions.of(hint.prefix);
      if (session !== undefined) return [this.of(session)];
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

  #pick(key: string): Replica {
    let best: Replica | undefined;
    let bestWeight = -1;
    const isAnyUp = this.#replicas.some(({ downAt }) => downAt === undefined);
    for (const replica of this.#replicas) {
      if (replica.downAt !== undefined) {
        this.#ask(replica);
        if (isAnyUp) continue;
      }
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

function addedUp(all: readonly PromptTotals[]): PromptTotals | undefined {
  if (all.length === 0) return undefined;
  const sum = (key: keyof PromptTotals): number => all.reduce((total, { [key]: value }) => total + value, 0);
  return { requests: sum("requests"), promptTokens: sum("promptTokens"), cachedTokens: sum("cachedTokens") };
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
