import { type AgentId, END } from "../runtime/event.ts";
import type { Observer } from "./observer.ts";
import { guard } from "./safe-host.ts";
import { nodeOf, type NodeSpan, type Span } from "./span.ts";

/** Says who runs next; see `CacheSage.announce`. */
export type Announce = (next: AgentId | readonly AgentId[]) => void;

/** Different warnings given; an app may make names up. */
const MOST_WARNINGS = 16;

const OUTSIDE =
  "announce() was called where no observed node is at work, and tells nothing. Call it inside a node of an instrumented graph, " +
  "or of one that wrapNode wraps.";

/** Lets an app say who runs after a node, earlier than LangGraph gives it away. */
export function createAnnounce({ host, tracker, next }: Observer): Announce {
  const given = new Set<string>();
  const warn = (message: string) => {
    if (given.has(message) || given.size >= MOST_WARNINGS) return;
    given.add(message);
    host.warn(message);
  };
  return (agents) =>
    guard(host, "announce", () => {
      const said = [agents].flat();
      const names = said.length === 0 ? [END] : said;
      const span = nodeAtWork(tracker.scopes.getStore()?.span);
      if (!span) return warn(OUTSIDE);
      const strange = names.map((name) => strangeness(span, name)).find((one) => one !== undefined);
      if (strange !== undefined) return warn(strange);
      next.announced(span, names);
    });
}

/** The node that the agent at work began with: one inside of it, such as its model node, is not followed by other agents. */
function nodeAtWork(span: Span | undefined): NodeSpan | undefined {
  for (let at = span; at; at = at.parent) if (at.activation) return nodeOf(at);
  return nodeOf(span);
}

/** What is wrong with a name; agents without a declared graph may have any. */
function strangeness({ node: { plan } }: NodeSpan, name: unknown): string | undefined {
  if (typeof name !== "string")
    return `announce() takes names of nodes, got ${typeof name}: pass "coder", or ["coder", "tester"].`;
  if (!plan || name === END || plan.graph.nodes.has(name)) return undefined;
  const known = [...plan.graph.nodes.keys(), END].join(", ");
  return `announce() got ${JSON.stringify(name)}, which is no node of the graph ${plan.graph.name}: pass one of ${known}.`;
}
