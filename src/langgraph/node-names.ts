import { END, type AgentId } from "../runtime/event.ts";
import { isFrameworkNode } from "./identity.ts";
import type { NodeSpan } from "./span.ts";

const MAX_GRAPHS = 256;
const MAX_NODES = 256;

/** Node names seen so far, by graph: what is known about graphs that were not instrumented. */
export class NodeNames {
  readonly #graphs = new Map<string, Map<string, AgentId>>();

  learn(span: NodeSpan, agent: AgentId): void {
    const key = keyOf(span);
    let names = this.#graphs.get(key);
    if (!names) {
      if (this.#graphs.size >= MAX_GRAPHS) this.#graphs.delete(this.#graphs.keys().next().value as string);
      this.#graphs.set(key, (names = new Map()));
    }
    if (names.size < MAX_NODES) names.set(span.name, agent);
  }

  /** Agent of a node in the graph that `span` runs in; undefined when no such node was seen. */
  agent(span: NodeSpan, name: string): AgentId | undefined {
    return name === END ? END : this.#graphs.get(keyOf(span))?.get(name);
  }

  /** False once a node was seen that no ready-made agent has. */
  isAgentGraph(span: NodeSpan): boolean {
    return [...(this.#graphs.get(keyOf(span))?.keys() ?? [])].every(isFrameworkNode);
  }
}

function keyOf({ node, parent, run }: NodeSpan): string {
  const around = node.path.length > 1 ? node.path.slice(0, -1).join("|") : "";
  return `${run.graph ?? ""}|${parent?.name ?? ""}|${around}`;
}
