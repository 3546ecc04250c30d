import type { AgentId } from "../runtime/event.ts";
import { ambientConfig, contextOf, parentIdOf, runIdOf, runToken, sessionOf } from "./config.ts";
import { namespacePath } from "./identity.ts";
import { text, type ConfigLike } from "./shapes.ts";
import type { Run } from "./run.ts";
import type { Span } from "./span.ts";
import type { Tracker } from "./tracker.ts";

/** Runs known by their session only, in the order they were seen. */
const MAX_SESSIONS = 1024;

/** A node that cachesage was told of: by a callback already, or by this call. */
export interface Entered {
  readonly span: Span;
  /** True when nobody else sees the node end. */
  readonly isOurs: boolean;
}

/**
 * Runs in which no callback handler of ours sees the graph: the user wrapped single nodes, put in the middleware, or
 * gave the handler to the model only. Their start is known and their end is not, so `run-end` is left out.
 */
export class Unattended {
  readonly #tracker: Tracker;
  readonly #runs = new WeakMap<object, Run>();
  readonly #sessions = new Map<string, Run>();
  #spans = 0;

  constructor(tracker: Tracker) {
    this.#tracker = tracker;
  }

  /** The node that a call runs in; undefined outside of LangGraph, unless the agent is named. */
  enter(config: ConfigLike | undefined, agent?: AgentId): Entered | undefined {
    const inside = this.#tracker.scopes.getStore()?.span;
    if (inside?.early) return { span: inside, isOurs: false };
    const seen = this.#tracker.find(parentIdOf(config));
    if (seen) return { span: seen, isOurs: false };
    const { metadata, configurable } = config ?? {};
    const checkpoint = configurable?.["checkpoint_ns"] ?? metadata?.["checkpoint_ns"];
    const path = namespacePath(checkpoint);
    const ambient = this.#tracker.scopes.getStore()?.span;
    const around = ambient?.run.ended === false ? ambient : undefined;
    if (around?.node && around.node.path.join("|") === path.join("|")) return { span: around, isOurs: false };
    const agentName = agent ?? text(metadata?.["lc_agent_name"]);
    const name = path.at(-1) ?? agentName;
    if (name === undefined) return undefined;
    const step = metadata?.["langgraph_step"];
    const node = {
      checkpoint,
      path,
      step: typeof step === "number" ? step : undefined,
      plan: undefined,
      agent: agentName,
      next: new Set<AgentId>(),
      returned: false,
    };
    const run = around?.run ?? this.run(config);
    const id = `${run.id}/${this.#spans++}`;
    const span = this.#tracker.open({ id, run, parent: around, name, agentName, node });
    return { span, isOurs: true };
  }

  /** The run of a call; a new one when it was not seen before. */
  run(config: ConfigLike | undefined): Run {
    const token = runToken(config) ?? runToken(ambientConfig());
    const known = token && this.#runs.get(token);
    if (known) return known;
    const session = sessionOf(config?.metadata, config?.configurable);
    const earlier = token || session === undefined ? undefined : this.#sessions.get(session);
    if (earlier) return earlier;
    const run = this.#tracker.startRun(
      runIdOf(config),
      session,
      undefined,
      contextOf(config?.metadata, config?.configurable),
    );
    if (token) this.#runs.set(token, run);
    if (session !== undefined) this.#remember(session, run);
    return run;
  }

  #remember(session: string, run: Run): void {
    this.#sessions.delete(session);
    if (this.#sessions.size >= MAX_SESSIONS)
      this.#sessions.delete(this.#sessions.keys().next().value as string);
    this.#sessions.set(session, run);
  }
}
