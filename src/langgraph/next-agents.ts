import { END, type AgentId, type NextSource } from "../runtime/event.ts";
import { due } from "./deferral.ts";
import type { Host } from "./host.ts";
import { isFrameworkNode, nodeAgent } from "./identity.ts";
import type { NodeNames } from "./node-names.ts";
import type { Join } from "./plan.ts";
import { isCommand, isObject, isSend } from "./shapes.ts";
import { activationOf, nodeOf, type NodeSpan, type Span } from "./span.ts";
import { agentIn } from "./topology.ts";

const NONE: readonly string[] = [];
const NOBODY: ReadonlySet<AgentId> = new Set();
/** Value of Command.graph for the graph around the one that returned it. */
const PARENT = "__parent__";

/**
 * Says which agents run next as soon as LangGraph gives it away: a condition's result, a Command, a hand-off, or the
 * end of a node with declared edges. Ends of nested graphs are not told: what follows them is told when their node
 * ends.
 */
export class NextAgents {
  readonly #host: Host;
  readonly #names: NodeNames;

  constructor(host: Host, names: NodeNames) {
    this.#host = host;
    this.#names = names;
  }

  /**
   * A run nested in a node returned something that may be a condition's result. A Runnable of the user's own looks
   * the same, hence: after the node's code when its end is known, and known names only.
   */
  routed(span: NodeSpan, output: unknown): void {
    const { plan, returned } = span.node;
    if (plan && (!returned || plan.branches.length === 0)) return;
    const values = Array.isArray(output) ? output : [output];
    const agents: AgentId[] = [];
    for (const value of values) {
      const target = isSend(value) ? value.node : plan ? destination(plan.branches, value) : value;
      const agent = typeof target === "string" ? this.#known(span, target) : undefined;
      if (agent === undefined) return;
      agents.push(agent);
    }
    this.#tell(span, agents, "router");
  }

  /** A node ended with this output: Commands in it, and its declared edges. */
  ended(span: NodeSpan, output: unknown): void {
    const commands = Array.isArray(output) ? output.filter(isCommand) : isCommand(output) ? [output] : [];
    const targets = commands.flatMap((command) => destinations(command.goto));
    if (targets.length > 0)
      this.#tell(
        span,
        targets.map((name) => this.#agent(span, name)),
        "command",
      );
    const { plan, next } = span.node;
    if (!plan) return;
    const edges = this.#always(span);
    for (const join of plan.joins) if (arrived(span, join)) edges.push(this.#agent(span, join.end));
    const leads = plan.edges.length + plan.joins.length + plan.branches.length > 0;
    if (!leads && next.size === 0) edges.push(END);
    this.#tell(span, edges, "edge");
  }

  /** A Command for the parent graph, from a tool's output or on its way up as an error. */
  handedOff(span: Span | undefined, command: unknown): void {
    if (!isCommand(command) || command.graph !== PARENT) return;
    const outer = nodeOf(nodeOf(span)?.parent);
    const from = activationOf(span)?.identity.agent;
    if (!outer || from === undefined) return;
    this.#tell(
      outer,
      destinations(command.goto).map((name) => this.#agent(outer, name)),
      "handoff",
      from,
    );
  }

  /** The app's word on who runs after a node that is still at work; what LangGraph gives away later stands. */
  announced(span: NodeSpan, names: readonly string[]): void {
    const from = activationOf(span)?.identity.agent;
    if (from === undefined || span.run.ended) return;
    const agents = names.map((name) => this.#agent(span, name));
    const at = this.#host.clock.now();
    this.#host.emit({ type: "next-agents", at, run: span.run.id, from, agents, source: "app" });
  }

  #tell(span: NodeSpan, agents: readonly AgentId[], source: NextSource, by?: AgentId): void {
    const from = by ?? activationOf(span)?.identity.agent;
    const { next, path } = span.node;
    if (from === undefined || span.run.ended) return;
    const before = next.size;
    const targets = agents.length === 0 ? agents : [...agents, ...this.#always(span)];
    for (const agent of due(span, targets, this.#deferred(span))) {
      if (agent === END && path.length > 1) continue;
      // Inside one agent, going from its model to its tools and back is no transition.
      if (agent === from && !span.activation) continue;
      next.add(agent);
    }
    if (next.size === before) return;
    const at = this.#host.clock.now();
    this.#host.emit({ type: "next-agents", at, run: span.run.id, from, agents: [...next], source });
  }

  #deferred(span: NodeSpan): ReadonlySet<AgentId> {
    const names = span.node.plan?.graph.deferred ?? NONE;
    return names.length === 0 ? NOBODY : new Set(names.map((name) => this.#agent(span, name)));
  }

  #always(span: NodeSpan): AgentId[] {
    return (span.node.plan?.edges ?? []).map((name) => this.#agent(span, name));
  }

  #known(span: NodeSpan, name: string): AgentId | undefined {
    const { plan } = span.node;
    if (!plan) return this.#names.agent(span, name);
    return name === END || plan.graph.nodes.has(name) ? this.#agent(span, name) : undefined;
  }

  #agent(span: NodeSpan, name: string): AgentId {
    if (name === END) return END;
    const { plan, path } = span.node;
    const prefix = path.slice(0, -1);
    const owner = activationOf(span)?.identity.agent ?? span.name;
    if (plan) return agentIn(plan.graph, { prefix, owner }, name);
    const isInside = !span.activation && isFrameworkNode(name);
    return this.#names.agent(span, name) ?? (isInside ? owner : nodeAgent([...prefix, name]));
  }
}

/** Node that a condition's result stands for, through the map that the edge was declared with. */
function destination(
  branches: readonly (Readonly<Record<string, string>> | undefined)[],
  value: unknown,
): string | undefined {
  if (!["string", "boolean", "number"].includes(typeof value)) return undefined;
  const key = String(value);
  for (const ends of branches) if (ends && Object.hasOwn(ends, key)) return ends[key];
  return branches.includes(undefined) ? key : undefined;
}

function destinations(goto: unknown): string[] {
  const values = Array.isArray(goto) ? goto : [goto];
  return values.flatMap((value) => (isSend(value) ? value.node : typeof value === "string" ? value : []));
}

/** Notes that a node reached a join; true for the last one, after which the join's target runs. */
function arrived(span: NodeSpan, join: Join): boolean {
  const graph = span.parent;
  if (!graph) return false;
  const key = `${join.starts.join("+")}:${join.end}`;
  const all = (graph.arrived ??= new Map());
  const names = all.get(key) ?? new Set();
  names.add(span.name);
  if (!join.starts.every((name) => names.has(name))) {
    all.set(key, names);
    return false;
  }
  all.delete(key);
  return true;
}

/** The value that a node returned: callbacks get anything but a plain object wrapped into `output`. */
export function unwrapped(outputs: unknown): unknown {
  if (!isObject(outputs) || !("output" in outputs)) return outputs;
  return Object.keys(outputs).length === 1 ? outputs["output"] : outputs;
}
