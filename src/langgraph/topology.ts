import { END, START, type AgentId, type DeclaredEdge } from "../runtime/event.ts";
import { isFrameworkNode, nodeAgent } from "./identity.ts";
import type { Exits, GraphPlan, NodePlan } from "./plan.ts";

/** Agents and declared edges of a graph with all its subgraphs, as one flat graph. */
export interface Topology {
  readonly agents: readonly AgentId[];
  readonly edges: readonly DeclaredEdge[];
  /** Agents declared free of side effects. */
  readonly free?: readonly AgentId[];
}

/**
 * Flattens a plan. A subgraph's node leads to where the subgraph begins, and where the subgraph ends leads to where
 * its node leads; a graph that is one agent is that agent.
 */
export function flatten(plan: GraphPlan): Topology {
  const agents = new Set<AgentId>();
  const free: AgentId[] = [];
  const weights = new Map<AgentId, Map<AgentId, number>>();
  const link = (from: AgentId, targets: readonly Target[]) => {
    let row = weights.get(from);
    if (!row) weights.set(from, (row = new Map()));
    for (const { agent, weight } of targets) row.set(agent, Math.max(row.get(agent) ?? 0, weight));
  };

  const visit = (graph: GraphPlan, at: Place) => {
    const id = (name: string) => agentIn(graph, at, name);
    const whole = graph.agent ?? (graph.isAgent ? at.owner : undefined);
    if (whole !== undefined) {
      agents.add(whole);
      if (at.entry !== whole) link(at.entry, [{ agent: whole, weight: 1 }]);
      link(whole, at.exits);
    } else {
      link(at.entry, targetsOf(graph.start, graph, id, at.exits));
    }
    for (const node of graph.nodes.values()) {
      const agent = id(node.name);
      agents.add(agent);
      if (node.isFree) free.push(agent);
      const targets = targetsOf(node, graph, id, at.exits);
      const inner = { prefix: [...at.prefix, node.name], owner: agent, entry: agent, exits: targets };
      if (node.subgraph) visit(node.subgraph, inner);
      else if (whole === undefined) link(agent, targets);
    }
  };
  visit(plan, { prefix: [], owner: plan.name, entry: START, exits: [{ agent: END, weight: 1 }] });
  const edges = [...weights].flatMap(([from, row]) => [...row].map(([to, weight]) => ({ from, to, weight })));
  return { agents: [...agents], edges, ...(free.length > 0 && { free }) };
}

/** Where a graph hangs in the whole: the agent that enters it, and what follows when it ends. */
interface Place {
  readonly prefix: readonly string[];
  /** The agent that the graph is when it is one agent without a name of its own. */
  readonly owner: AgentId;
  readonly entry: AgentId;
  readonly exits: readonly Target[];
}

interface Target {
  readonly agent: AgentId;
  readonly weight: number;
}

/** Agent id of a node by its name: what identities in that graph say. */
export function agentIn(graph: GraphPlan, at: Pick<Place, "prefix" | "owner">, name: string): AgentId {
  const given = graph.nodes.get(name)?.agent;
  if (given !== undefined) return given;
  if (graph.agent !== undefined) return graph.agent;
  if (graph.isAgent && isFrameworkNode(name)) return at.owner;
  return nodeAgent([...at.prefix, name]);
}

function targetsOf(
  exits: Exits | NodePlan,
  graph: GraphPlan,
  id: (name: string) => AgentId,
  ends: readonly Target[],
): readonly Target[] {
  const names = [...graph.nodes.keys()];
  const self = "name" in exits ? exits.name : START;
  const anywhere = [...names.filter((name) => name !== self), END];
  // An agent that may hand off may also simply be done.
  const handoffs = "subgraph" in exits && exits.subgraph ? [...exits.ends, END] : exits.ends;
  const choices = [
    ...exits.edges.map((name) => [name]),
    ...exits.joins.map((join) => [join.end]),
    ...exits.branches.map((branch) => (branch ? Object.values(branch) : anywhere)),
    ...(exits.ends.length > 0 ? [handoffs] : []),
  ];
  if (choices.length === 0) choices.push([END]);
  return choices.flatMap((choice) => {
    const distinct = [...new Set(choice)];
    const weight = 1 / distinct.length;
    return distinct.flatMap((name) =>
      name === END
        ? ends.map((end) => ({ ...end, weight: end.weight * weight }))
        : [{ agent: id(name), weight }],
    );
  });
}
