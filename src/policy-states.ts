import { z } from "zod";
import type { PolicySet } from "./policy-set.ts";

/** What policies remember, by name. Unlike counts, states of two processes do not add up. */
export interface SavedPolicies {
  readonly version: 1;
  readonly states: Readonly<Record<string, unknown>>;
}

const saved = z.object({ version: z.literal(1), states: z.record(z.string(), z.unknown()) });

/** Undefined when it is none that this version can read. */
export function savedPolicies(value: unknown): SavedPolicies | undefined {
  return saved.safeParse(value).data;
}

/** Takes the state of policies at work, and gives it back to them. What one of them does wrong is no matter of the others. */
export class PolicyStates {
  readonly #set: PolicySet;
  readonly #warn: (message: string) => void;
  #last: SavedPolicies | undefined;

  /** @param warn told in one line which policy's state was lost. */
  constructor(set: PolicySet, warn: (message: string) => void) {
    this.#set = set;
    this.#warn = warn;
  }

  /** State of every policy that keeps any, as plain JSON. */
  snapshot(): SavedPolicies {
    if (this.#last) return this.#last;
    const states: Record<string, unknown> = {};
    for (const installed of this.#set.installed) {
      const { definition, policy } = installed;
      try {
        const text = JSON.stringify(policy.snapshot?.()) as string | undefined;
        if (text !== undefined) define(states, definition.name, JSON.parse(text));
      } catch (error) {
        this.#set.faults.note(installed, "snapshot", error);
        this.#lost(definition.name, "saved", error);
      }
    }
    return { version: 1, states };
  }

  /** Gives back what is there: undefined is an older snapshot, without policies; policies that are not at work are passed over. */
  restore(given: unknown): void {
    if (given === undefined) return;
    const states = savedPolicies(given)?.states;
    if (!states) {
      this.#warn("the policies' part of a snapshot was left out: it is of another version, or none");
      return;
    }
    for (const installed of this.#set.installed) {
      const { definition, policy } = installed;
      if (!policy.restore || !Object.hasOwn(states, definition.name)) continue;
      try {
        policy.restore(states[definition.name]);
      } catch (error) {
        this.#set.faults.note(installed, "restore", error);
        this.#lost(definition.name, "restored", error);
      }
    }
  }

  /** From now on the state is that of this moment: policies are about to be closed. Idempotent. */
  close(): void {
    this.#last ??= this.snapshot();
  }

  #lost(policy: string, what: string, error: unknown): void {
    const issue = error instanceof z.ZodError ? error.issues[0] : undefined;
    const reason = issue ? `${issue.path.join(".") || "value"}: ${issue.message}` : String(error);
    this.#warn(`the state of policy ${policy} could not be ${what}, and is left out: ${reason}`);
  }
}

/** As an own field, whatever it is called. */
function define(states: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(states, name, { value, enumerable: true, configurable: true, writable: true });
}
