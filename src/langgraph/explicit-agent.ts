import { isObject, text } from "./shapes.ts";

const AGENT = Symbol.for("cachesage.agent");
/** Runnables are named from outside, so that the user's object stays as it was. */
const named = new WeakMap<object, string>();

/** Gives a node function or Runnable its name as an agent. */
export function nameAgent(node: object, agent: string): void {
  if (typeof node === "function") Object.defineProperty(node, AGENT, { value: agent, configurable: true });
  else named.set(node, agent);
}

/**
 * The name that a node was given with `wrapNode`. LangGraph puts a node function into a Runnable's `func`, and
 * hands that Runnable to callbacks by reference: this is how a name is known before the node runs.
 */
export function explicitAgent(node: unknown): string | undefined {
  if (typeof node === "function") return text((node as { [AGENT]?: unknown })[AGENT]);
  if (!isObject(node)) return undefined;
  return named.get(node) ?? (typeof node["func"] === "function" ? explicitAgent(node["func"]) : undefined);
}
