import type { AgentId } from "../runtime/event.ts";
import { ambientConfig, configOf } from "./config.ts";
import { undisguise } from "./denied-response.ts";
import { explicitAgent, freeOfSideEffects, isFreeOfSideEffects, nameAgent } from "./explicit-agent.ts";
import type { Observer } from "./observer.ts";
import { guard } from "./safe-host.ts";
import { settleIn } from "./settle.ts";
import { isObject } from "./shapes.ts";
import { holdConfig, isNode } from "./span.ts";

/** Options of `wrapNode`. */
export interface WrapNodeOptions {
  /** Agent id of the node; default: the node's name, with the names of the subgraph nodes around it. */
  readonly agent?: AgentId;
  /**
   * It may run for nothing: all it does is to return something that depends on its input alone, which it does not change.
   * The policy `speculation` then runs it before its turn. Default: false.
   */
  readonly sideEffectFree?: boolean;
}

/**
 * `T` has no constraint: only then does a node written in place of the argument keep the types of its state and
 * config.
 */
export type WrapNode = <T>(node: T, options?: WrapNodeOptions) => T;

/** Wraps node functions; a Runnable is only named, since a function around it would hide its subgraphs. */
export function createWrapNode(observer: Observer): WrapNode {
  return <T>(node: T, { agent, sideEffectFree = false }: WrapNodeOptions = {}): T => {
    const wrapped = guard(observer.host, "wrapNode", () => {
      const own = wrap(observer, node, agent);
      const marked = own ?? node;
      const isMarkable = typeof marked === "function" || isObject(marked);
      if (isMarkable && (sideEffectFree || isFreeOfSideEffects(node))) freeOfSideEffects(marked);
      return own;
    });
    return (wrapped as T | undefined) ?? node;
  };
}

function wrap(observer: Observer, node: unknown, agent: AgentId | undefined): unknown {
  if (typeof node !== "function") {
    if (isObject(node) && agent !== undefined) nameAgent(node, agent);
    return undefined;
  }
  if (isGenerator(node)) return undefined;
  const name = agent ?? explicitAgent(node);
  const wrapped = function (this: unknown, ...parameters: unknown[]): unknown {
    const call = (): unknown => Reflect.apply(node, this, parameters);
    return inScope(observer, configOf(parameters[1]), name, call);
  };
  for (const key of ["name", "length"] as const)
    Object.defineProperty(wrapped, key, { value: node[key], configurable: true });
  if (name !== undefined) nameAgent(wrapped, name);
  return wrapped;
}

function inScope(
  { host, tracker, unattended, next, steps }: Observer,
  config: ReturnType<typeof configOf>,
  agent: AgentId | undefined,
  call: () => unknown,
): unknown {
  const entered = guard(host, "wrapNode", () => unattended.enter(config ?? ambientConfig(), agent));
  if (!entered) return call();
  const { span, isOurs } = entered;
  guard(host, "wrapNode", () => holdConfig(host, span, config ?? ambientConfig()));
  const started = host.gate ? () => undisguise(steps.start(span, config, call), span) : call;
  if (!isOurs) return tracker.scopes.run({ span }, started);
  return settleIn(tracker.scopes, { span }, started, (status, output) => {
    if (status === "completed" && isNode(span)) guard(host, "wrapNode", () => next.ended(span, output));
    span.end(status);
  });
}

/** The body of a generator runs when it is read, which is outside of any scope that could be put around it. */
function isGenerator(node: object): boolean {
  return /Generator/.test(Object.prototype.toString.call(node));
}
