import { addressOf, withoutKeys } from "../address.ts";
import type { EngineStatus } from "../../runtime/engine.ts";
import type { Observed } from "../observed.ts";

const VERBS = ["retain", "release", "prefetch", "cancel", "pin", "evict"] as const;

/** The engine: what it can do, how it is, and what it says of itself. */
export function engines({ source, engine, caches, residentTokens }: Observed) {
  const { adapter } = source;
  const { status, ...health } = engine.health;
  return {
    kind: source.kind,
    now: source.clock.now(),
    name: source.engine.engine,
    version: source.engine.version ?? null,
    models: source.engine.models,
    blockTokens: source.engine.blockTokens ?? null,
    address: source.kind === "app" ? addressOf(adapter) : null,
    cacheHints: source.cacheHints,
    verbs: VERBS.map((verb) => ({ verb, support: adapter.supports[verb] ?? null })),
    hints: source.stats().hints,
    health: {
      ...health,
      answerMs: health.answerMs ?? null,
      answeredAt: health.answeredAt ?? null,
      downSince: health.downSince ?? null,
      failure: health.failure ?? null,
    },
    status: status
      ? {
          capacityTokens: status.capacityTokens ?? null,
          residentTokens: residentTokens ?? null,
          running: status.running ?? null,
          waiting: status.waiting ?? null,
          prefetch: status.prefetch ?? null,
        }
      : null,
    replicas: replicasOf(adapter, status),
    events: {
      state: caches.stream,
      sources: caches.caches.map((cache) => ({
        ...cache,
        source: withoutKeys(cache.source),
        worker: cache.worker === undefined ? null : withoutKeys(cache.worker),
        lagMs: cache.lagMs ?? null,
        gapAt: cache.gapAt ?? null,
      })),
    },
  };
}

/** Each of several servers: whether it answers, what this app had of it, and what it says of itself. */
function replicasOf(adapter: Observed["source"]["adapter"], status: EngineStatus | undefined) {
  return (adapter.workers?.() ?? []).map(({ baseURL, isUp, underWay, served }) => {
    const own = status?.replicas?.find((replica) => replica.baseURL === baseURL);
    return {
      address: addressOf({ baseURL }),
      // Calls find out first; asking tells of a server that gets none.
      isUp: isUp && own?.isUp !== false,
      underWay,
      served: served ?? null,
      capacityTokens: own?.status?.capacityTokens ?? null,
      residentTokens: own?.status?.residentTokens ?? null,
      waiting: own?.status?.waiting ?? null,
    };
  });
}
