import { END, START } from "../runtime/event.ts";
import { explicitAgent, isFreeOfSideEffects } from "./explicit-agent.ts";
import { isFrameworkNode } from "./identity.ts";
import { planOf, type Exits, type GraphPlan, type NodePlan } from "./plan.ts";
import { agentNameOf, isPregel, type BuilderLike, type NodeLike, type PregelLike } from "./shapes.ts";

/** Name of a compiled graph that was not given one. */
export const UNNAMED = "LangGraph";

/** Reads what a compiled graph declares; subgraphs that only a function calls cannot be seen. */
export function planGraph(graph: PregelLike, outer: readonly PregelLike[] = []): GraphPlan {
  const nodes = new Map<string, NodePlan>();
  const names = Object.keys(graph.nodes).filter((name) => name !== START);
  const plan: GraphPlan = {
    name: graph.name ?? UNNAMED,
    agent: agentNameOf(graph),
    isAgent: names.every(isFrameworkNode),
    nodes,
    start: graph.builder ? exits(graph.builder, START) : { ...NOWHERE, edges: names.slice(0, 1) },
    deferred: names.filter((name) => graph.builder?.nodes[name]?.defer === true),
  };
  for (const name of names) {
    const node = graph.nodes[name] as NodeLike;
    const subgraph = subgraphsOf(node)[0];
    nodes.set(name, {
      ...(graph.builder ? exits(graph.builder, name) : { ...NOWHERE, edges: [END] }),
      name,
      graph: plan,
      agent: planOf(node.bound)?.agent ?? explicitAgent(node.bound) ?? agentNameOf(subgraph),
      isFree: planOf(node.bound)?.isFree ?? isFreeOfSideEffects(node.bound),
      subgraph: subgraph && !outer.includes(subgraph) ? planGraph(subgraph, [...outer, graph]) : undefined,
    });
  }
  return plan;
}

/** The compiled graphs that a node runs. */
export function subgraphsOf(node: NodeLike): readonly PregelLike[] {
  const declared = node.subgraphs?.filter(isPregel) ?? [];
  if (declared.length > 0) return declared;
  return isPregel(node.bound) ? [node.bound] : [];
}

const NOWHERE: Exits = { edges: [], joins: [], branches: [], ends: [] };

function exits(builder: BuilderLike, name: string): Exits {
  return {
    edges: [...builder.edges].filter(([from]) => from === name).map(([, to]) => to),
    joins: [...(builder.waitingEdges ?? [])]
      .filter(([starts]) => starts.includes(name))
      .map(([starts, end]) => ({ starts, end })),
    branches: Object.values(builder.branches[name] ?? {}).map((branch) => branch.ends),
    ends: builder.nodes[name]?.ends ?? [],
  };
}
