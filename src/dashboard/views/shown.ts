import type { Observed } from "../observed.ts";
import { agents } from "./agents.ts";
import { cache } from "./cache.ts";
import { decisions } from "./decisions.ts";
import { engines } from "./engines.ts";
import { overview } from "./overview.ts";
import { policies } from "./policies.ts";
import { runs } from "./runs.ts";

/** What a page asks for. */
export type Query = Readonly<Partial<Record<"view" | "verb" | "policy" | "status" | "text" | "run", string>>>;

/** Why there is nothing to show, and what to do about it. */
export interface Problem {
  readonly title: string;
  readonly text: string;
  readonly steps: readonly string[];
}

const views: Readonly<Record<string, (observed: Observed, query: Query) => unknown>> = {
  overview,
  agents,
  cache,
  decisions,
  engines,
  policies,
  runs: (observed, { run }) => runs(observed, run || undefined),
};

/** Everything a page gets: ids, counts, hashes and numbers, never a text of a prompt. */
export function shown(observed: Observed | Problem, query: Query): unknown {
  if ("steps" in observed) return { problem: observed };
  const { source, engine } = observed;
  const { state, failure = null, downSince = null } = engine.health;
  const view = query.view !== undefined && Object.hasOwn(views, query.view) ? query.view : "overview";
  return {
    head: {
      kind: source.kind,
      name: source.name,
      engine: source.engine.engine,
      models: source.engine.models,
      cacheHints: source.cacheHints,
      state,
      failure,
      downForMs: downSince === null ? null : source.clock.now() - downSince,
      events: observed.events,
    },
    view,
    data: views[view]?.(observed, query),
  };
}
