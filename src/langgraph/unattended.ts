import type { AgentId, SessionId } from "../runtime/event.ts";
import { ambientConfig, contextOf, parentIdOf, runIdOf, runTokens, sessionOf } from "./config.ts";
import { checkpointOf, namedAgent, namespacePath, stepOf } from "./identity.ts";
import type { ConfigLike } from "./shapes.ts";
import type { Run } from "./run.ts";
import type { Span } from "./span.ts";
import type { Tracker } from "./tracker.ts";

/** So many names by which runs are known are remembered at least, and twice as many at most; those seen longest ago go first. */
const NAMES = 4096;

/** A node that cachesage was told of: by a callback already, or by this call. */
export interface Entered {
  readonly span: Span;
  /** True when nobody else sees the node end. */
  readonly isOurs: boolean;
}

/**
 * Runs in which no callback handler of ours sees the graph: the user wrapped single nodes, put in the middleware, or
 * gave the handler to the model only. Their start is known and their end is not: they end when the next one begins on their
 * session, or when LangGraph has let go of all that is theirs, which is when the garbage collector comes by.
 */
export class Unattended {
  readonly #tracker: Tracker;
  readonly #runs = new WeakMap<object, Run>();
  /** How many of their tokens are still there. */
  readonly #tokens = new WeakMap<Run, number>();
  /** By session, and by the task of the root graph: of some calls nothing else is known. */
  #named = new Map<string, Run>();
  /** Those before: every node has a new name, and letting go of them one by one would cost more than all else with them. */
  #namedBefore = new Map<string, Run>();
  readonly #collected = new FinalizationRegistry<Run>((run) => this.#unlink(run));
  #spans = 0;

  constructor(tracker: Tracker) {
    this.#tracker = tracker;
  }

  /** The node that a call runs in; undefined outside of LangGraph, unless the agent is named. */
  enter(config: ConfigLike | undefined, agent?: AgentId): Entered | undefined {
    const ambient = this.#tracker.scopes.getStore()?.span;
    if (ambient?.early) return { span: ambient, isOurs: false };
    const seen = this.#tracker.find(parentIdOf(config));
    if (seen) return { span: seen, isOurs: false };
    const { metadata, configurable } = config ?? {};
    const checkpoint = configurable?.["checkpoint_ns"] ?? metadata?.["checkpoint_ns"];
    const path = namespacePath(checkpoint);
    const around = ambient?.run.ended === false ? ambient : undefined;
    if (around?.node && around.node.path.join("|") === path.join("|")) return { span: around, isOurs: false };
    const agentName = agent ?? namedAgent(metadata, path);
    const name = path.at(-1) ?? agentName;
    if (name === undefined) return undefined;
    const node = {
      checkpoint,
      path,
      step: stepOf(metadata),
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

  /** The run of a call that was seen before, by what it alone has. */
  find(config: ConfigLike | undefined): Run | undefined {
    return this.#known(runTokens(config), rootTask(config));
  }

  /** The run of a call; a new one when it was not seen before. */
  run(given: ConfigLike | undefined): Run {
    const own = runTokens(given);
    const config = own.length > 0 ? given : { ...ambientConfig(), ...given };
    const tokens = own.length > 0 ? own : runTokens(config);
    const session = sessionOf(config?.metadata, config?.configurable);
    const task = rootTask(config);
    const thread = session === undefined ? undefined : `:${session}`;
    // Of a node's own config a new token is a new invocation, if only one that is resumed in the same task.
    const known = isWhole(config)
      ? this.#known(tokens)
      : this.#known(tokens, task, tokens.length > 0 ? undefined : thread);
    const run = known ?? this.#start(config, session, thread);
    for (const token of tokens) this.#link(token, run);
    if (task !== undefined) this.#name(task, run);
    if (thread !== undefined) this.#name(thread, run);
    return run;
  }

  #known(tokens: readonly object[], task?: string, thread?: string): Run | undefined {
    for (const token of tokens) {
      const run = this.#runs.get(token);
      if (run?.ended === false) return run;
    }
    const run = this.#find(task);
    if (run?.ended === false) return run;
    const latest = this.#find(thread);
    return latest?.ended === false ? latest : undefined;
  }

  #find(name: string | undefined): Run | undefined {
    return name === undefined ? undefined : (this.#named.get(name) ?? this.#namedBefore.get(name));
  }

  #name(name: string, run: Run): void {
    this.#named.set(name, run);
    if (this.#named.size < NAMES) return;
    this.#namedBefore = this.#named;
    this.#named = new Map();
  }

  #start(config: ConfigLike | undefined, session: SessionId | undefined, thread: string | undefined): Run {
    const earlier = this.#find(thread);
    if (earlier?.open.size === 0) this.#tracker.endRun(earlier, "completed");
    const context = contextOf(config?.metadata, config?.configurable);
    return this.#tracker.startRun({ id: runIdOf(config), session, graph: undefined, context, seen: "start" });
  }

  #link(token: object, run: Run): void {
    if (this.#runs.get(token) === run) return;
    this.#collected.register(token, run);
    this.#runs.set(token, run);
    this.#tokens.set(run, (this.#tokens.get(run) ?? 0) + 1);
  }

  #unlink(run: Run): void {
    const left = (this.#tokens.get(run) ?? 1) - 1;
    this.#tokens.set(run, left);
    if (left > 0) return;
    for (const open of run.open) open.end("cancelled");
    this.#tracker.endRun(run, "completed");
  }
}

/** Whether it is all that LangGraph gives a node, of which RunnableLambdas, tools and streaming calls have parts. */
function isWhole(config: ConfigLike | undefined): boolean {
  return typeof config?.writer === "function" && config.configurable !== undefined;
}

/** The task of the root graph that a call is in: known from its metadata alone, and another one in every superstep. */
function rootTask(config: ConfigLike | undefined): string | undefined {
  const namespace = config?.configurable?.["checkpoint_ns"] ?? checkpointOf(config?.metadata);
  if (typeof namespace !== "string" || namespace.indexOf(":") < 0) return undefined;
  const bar = namespace.indexOf("|");
  return bar < 0 ? namespace : namespace.slice(0, bar);
}
