import type { Observed } from "../observed.ts";

const VERBS = ["retain", "release", "prefetch", "cancel", "pin", "evict"] as const;

/** The engine: what it can do, how it is, and what it says of itself. */
export function engines({ source, engine, engineEvents }: Observed) {
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
          residentTokens: status.residentTokens ?? null,
          running: status.running ?? null,
          waiting: status.waiting ?? null,
          prefetch: status.prefetch ?? null,
        }
      : null,
    events: { ...engineEvents.counts, latestAt: engineEvents.counts.latestAt ?? null },
  };
}

/** Without user, password and query, where keys may be. */
function addressOf(adapter: { readonly baseURL: string }): string | null {
  try {
    const { origin, pathname } = new URL(adapter.baseURL);
    return `${origin}${pathname}`;
  } catch {
    // The address is not known before the engine has started, or is none.
    return null;
  }
}
