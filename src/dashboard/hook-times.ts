import type { Policy } from "../runtime/policy.ts";

/** What one hook of a policy has cost since the dashboard looks on. */
export interface HookTime {
  calls: number;
  /** Milliseconds, all together and at most. */
  total: number;
  longest: number;
}

const HOOKS = ["observe", "predict", "score", "act", "decided", "ended"] as const;
type Hook = (typeof HOOKS)[number];

/** Times a policy's hooks in place, so that a policy nobody looks at pays nothing. */
export class HookTimes {
  readonly hooks = new Map<Hook, HookTime>();
  readonly #policy: Policy;
  readonly #now: () => number;
  readonly #restore: (() => void)[] = [];

  constructor(policy: Policy, now: () => number) {
    this.#policy = policy;
    this.#now = now;
    for (const hook of HOOKS) this.#time(hook);
  }

  /** Leaves the policy as it was. */
  stop(): void {
    for (const restore of this.#restore.splice(0)) restore();
  }

  #time(hook: Hook): void {
    const policy = this.#policy;
    const original: unknown = policy[hook];
    if (typeof original !== "function") return;
    const spent: HookTime = { calls: 0, total: 0, longest: 0 };
    this.hooks.set(hook, spent);
    const own = Object.getOwnPropertyDescriptor(policy, hook);
    const now = this.#now;
    const timed = function (this: Policy, ...given: unknown[]): unknown {
      const started = now();
      try {
        return Reflect.apply(original, this, given);
      } finally {
        const took = now() - started;
        spent.calls++;
        spent.total += took;
        if (took > spent.longest) spent.longest = took;
      }
    };
    // A frozen policy cannot be timed; it goes on untimed.
    if (!Reflect.defineProperty(policy, hook, { value: timed, configurable: true, writable: true })) {
      this.hooks.delete(hook);
      return;
    }
    this.#restore.push(() => {
      if (own) Reflect.defineProperty(policy, hook, own);
      else Reflect.deleteProperty(policy, hook);
    });
  }
}
