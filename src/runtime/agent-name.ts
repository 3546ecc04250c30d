import type { AgentId } from "./event.ts";

type Metadata = Readonly<Record<string, unknown>>;

const FRAMEWORK_NODES: ReadonlySet<string> = new Set([
  "agent",
  "model_request",
  "tools",
  "pre_model_hook",
  "post_model_hook",
  "generate_structured_response",
]);
const MIDDLEWARE_HOOK = /\.(before|after)_(agent|model)$/;

/** True for the nodes that createReactAgent and createAgent put into every agent. */
export function isFrameworkNode(name: string): boolean {
  return FRAMEWORK_NODES.has(name) || (name.includes(".") && MIDDLEWARE_HOOK.test(name));
}

/** The checkpoint namespace in the metadata of a call: that of the node it runs in. */
export function checkpointOf(metadata: Metadata | undefined): unknown {
  return metadata?.["langgraph_checkpoint_ns"] ?? metadata?.["checkpoint_ns"];
}

/**
 * Superstep of a call's node. A task of the functional API has none of its own: LangGraph gives it that of the node which called it,
 * although such tasks may follow each other.
 */
export function stepOf(metadata: Metadata | undefined): number | undefined {
  const { langgraph_step: step, langgraph_path: path } = metadata ?? {};
  const isTask = Array.isArray(path) && path[0] === "__pregel_push" && Array.isArray(path[1]);
  return typeof step === "number" && !isTask ? step : undefined;
}

/**
 * Node names of a checkpoint namespace, outermost first. Segments without an id only number the calls of one
 * subgraph and are left out.
 */
export function namespacePath(namespace: unknown): readonly string[] {
  if (typeof namespace !== "string") return [];
  const names: string[] = [];
  for (let start = 0; start < namespace.length;) {
    const bar = namespace.indexOf("|", start);
    const end = bar < 0 ? namespace.length : bar;
    const colon = namespace.indexOf(":", start);
    if (colon >= 0 && colon < end) names.push(namespace.slice(start, colon));
    start = end + 1;
  }
  return names;
}

/** Agent id of a path without its framework nodes; undefined when nothing else is left. */
export function pathAgent(path: readonly string[]): AgentId | undefined {
  let agent: AgentId | undefined;
  for (const name of path)
    if (!isFrameworkNode(name)) agent = agent === undefined ? name : `${agent}/${name}`;
  return agent || undefined;
}

/**
 * Name that createAgent gave the agent of a call in the node of this path. It is passed down to all that the agent's tools call:
 * a graph with nodes of its own there is not the agent.
 */
export function namedAgent(metadata: Metadata | undefined, path: readonly string[]): AgentId | undefined {
  const named = metadata?.["lc_agent_name"];
  if (typeof named !== "string" || named === "") return undefined;
  const isInTool = path.slice(0, -1).some(isFrameworkNode) && !isFrameworkNode(path.at(-1) ?? "");
  return isInTool ? undefined : named;
}

/** Agent id of a call, from the metadata alone that LangGraph gives it; undefined for a call outside of any graph. */
export function metadataAgent(metadata: Metadata): AgentId | undefined {
  const { langgraph_node: node } = metadata;
  const path = namespacePath(checkpointOf(metadata));
  return (
    namedAgent(metadata, path) ??
    pathAgent(path) ??
    (typeof node === "string" && node !== "" ? node : undefined)
  );
}
