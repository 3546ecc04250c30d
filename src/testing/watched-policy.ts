import type { Action } from "../runtime/action.ts";
import type { Policy } from "../runtime/policy.ts";

/** A policy, and what it was seen to do. */
export interface WatchedPolicy {
  /** Does as the policy does. */
  readonly policy: Policy;
  /** What `act`, `score` and `patience` returned, in order. */
  readonly answers: readonly unknown[];
  /** Fields of events that `observe` has read, those of events that came before included. */
  readonly reads: number;
}

/** Watches a policy from outside: its own object stays as it is, and so do its private fields. */
export function watch(policy: Policy): WatchedPolicy {
  const answers: unknown[] = [];
  let reads = 0;
  const counted = <T>(value: T): T =>
    typeof value === "object" && value !== null
      ? new Proxy(value, {
          get: (target, key) => {
            reads++;
            return counted(Reflect.get(target, key, target) as unknown);
          },
        })
      : value;
  const noted = <T>(value: T): T => {
    answers.push(value);
    return value;
  };
  const hooks: Policy = {
    observe: (event) => policy.observe?.(counted(event)),
    act: (...given) => {
      const actions = policy.act?.(...given);
      return actions === undefined || actions instanceof Promise ? (actions ?? []) : passing(actions, noted);
    },
    score: (...given) => noted(policy.score?.(...given) as number),
    patience: (...given) => noted(policy.patience?.(...given)),
  };
  const watched = new Proxy(policy, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      return Object.hasOwn(hooks, key) ? hooks[key as keyof Policy] : (value.bind(target) as unknown);
    },
  });
  return {
    policy: watched,
    answers,
    get reads() {
      return reads;
    },
  };
}

/** One by one, as whoever asks takes them: a policy may never come to an end. */
function* passing(actions: Iterable<Action>, noted: <T>(action: T) => T): Generator<Action> {
  for (const action of actions) yield noted(action);
}
