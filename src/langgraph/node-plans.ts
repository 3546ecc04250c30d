import type { NodePlan } from "./plan.ts";
import { isObject } from "./shapes.ts";

const plans = new WeakMap<object, NodePlan>();

/** Remembers what was declared for the node that this Runnable is the body of. */
export function setPlan(body: object, plan: NodePlan): void {
  plans.set(body, plan);
}

/** What was declared for the node with this body; undefined when its graph was not instrumented. */
export function planOf(body: unknown): NodePlan | undefined {
  return isObject(body) ? plans.get(body) : undefined;
}
