import { isObject } from "./shapes.ts";

/** A declared graph. */
export interface GraphPlan {
  readonly name: string;
  /** Name that createAgent gave the whole graph. */
  readonly agent: string | undefined;
  /** True when the graph is one agent: nothing but framework nodes. */
  readonly isAgent: boolean;
  readonly nodes: ReadonlyMap<string, NodePlan>;
  /** Where it may begin. */
  readonly start: Exits;
  /** Names of the nodes that wait until nothing else is left to run. */
  readonly deferred: readonly string[];
}

/** Where a node may lead, by node name. */
export interface Exits {
  /** Always taken. */
  readonly edges: readonly string[];
  /** Taken when all of `starts` are done. */
  readonly joins: readonly Join[];
  /** Conditional edges: what the condition returns, to the node; undefined may go anywhere. */
  readonly branches: readonly (Readonly<Record<string, string>> | undefined)[];
  /** Declared destinations of Commands. */
  readonly ends: readonly string[];
}

/** An edge from several nodes at once. */
export interface Join {
  readonly starts: readonly string[];
  readonly end: string;
}

/** A declared node. */
export interface NodePlan extends Exits {
  readonly name: string;
  readonly graph: GraphPlan;
  /** Its name as an agent, when one was given. */
  readonly agent: string | undefined;
  readonly subgraph: GraphPlan | undefined;
  /** Declared free of side effects. */
  readonly isFree: boolean;
}

const plans = new WeakMap<object, NodePlan>();

/** Remembers what was declared for the node that this Runnable is the body of. */
export function setPlan(body: object, plan: NodePlan): void {
  plans.set(body, plan);
}

/** What was declared for the node with this body; undefined when its graph was not instrumented. */
export function planOf(body: unknown): NodePlan | undefined {
  return isObject(body) ? plans.get(body) : undefined;
}
