import { isObject, text } from "./shapes.ts";

const AGENT = Symbol.for("cachesage.agent");
/** Runnables are named from outside, so that the user's object stays as it was. */
const named = new WeakMap<object, string>();

/** Gives a node function or Runnable its name as an agent. */
export function nameAgent(node: object, agent: string): void {
  if (typeof node === "function") Object.defineProperty(node, AGENT, { value: agent, configurable: true });
  else named.set(node, agent);
}

const FREE = Symbol.for("cachesage.side-effect-free");
const free = new WeakSet<object>();

/** Marks a node function or Runnable as one that may run for nothing. */
export function freeOfSideEffects(node: object): void {
  if (typeof node === "function") Object.defineProperty(node, FREE, { value: true, configurable: true });
  else free.add(node);
}

/** Whether a node was marked so with `wrapNode`. */
export function isFreeOfSideEffects(node: unknown): boolean {
  if (typeof node === "function") return (node as { [FREE]?: unknown })[FREE] === true;
  if (!isObject(node)) return false;
  return free.has(node) || (typeof node["func"] === "function" && isFreeOfSideEffects(node["func"]));
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
