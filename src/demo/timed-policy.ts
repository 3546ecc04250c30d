import { z } from "zod";
import type { Policy, PolicyDefinition, Subject } from "../runtime/policy.ts";

const HOOKS = ["observe", "predict", "score", "act", "decided", "ended", "settled"] as const;

/** Microseconds of each call, by hook. */
export type HookTimes = ReadonlyMap<string, readonly number[]>;

/** The same policy with these options, with a clock around each hook. */
export function timedPolicy(
  definition: PolicyDefinition<Subject>,
  options: unknown,
): { readonly definition: PolicyDefinition<Subject>; readonly times: HookTimes } {
  const times = new Map<string, number[]>();
  const chosen: unknown = definition.options.parse(options);
  const create: PolicyDefinition<Subject>["create"] = (context) => {
    const policy = definition.create({ ...context, options: chosen });
    for (const hook of HOOKS) time(policy, hook, times);
    return policy;
  };
  return { definition: { ...definition, options: z.strictObject({}), create }, times };
}

function time(policy: Policy, hook: (typeof HOOKS)[number], times: Map<string, number[]>): void {
  const original: unknown = policy[hook];
  if (typeof original !== "function") return;
  const own: number[] = [];
  times.set(hook, own);
  const timed = (...parameters: readonly unknown[]): unknown => {
    const started = performance.now();
    try {
      return Reflect.apply(original, policy, parameters);
    } finally {
      own.push((performance.now() - started) * 1000);
    }
  };
  Object.defineProperty(policy, hook, { value: timed });
}
