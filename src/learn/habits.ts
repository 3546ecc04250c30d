import { z } from "zod";

const count = z.int().positive();
/** By context, each outcome with how often it was seen. */
export const habitsState = z.array(z.tuple([z.string(), z.array(z.tuple([z.string(), count]))]));
export type HabitsState = z.output<typeof habitsState>;

/** Names come from applications, where they are few; of more, the new ones are not learned, and never stand out. */
const MAX_CONTEXTS = 1000;
const MAX_OUTCOMES = 1000;

interface Context {
  total: number;
  /** Outcomes seen once. */
  once: number;
  readonly counts: Map<string, number>;
}

/**
 * What usually follows what, known so well that something new stands out.
 *
 * If n + 1 outcomes of one context come in any order, the last one is as likely as any other to be one of those that occur once.
 * So an outcome that has not been seen in n, of which `once` were seen once, is that new by chance in at most (once + 1) /
 * (n + 1) of the cases: the missing mass of Good and Turing (https://doi.org/10.1093/biomet/40.3-4.237), taken as the p-value of
 * conformal prediction (https://jmlr.org/papers/v9/shafer08a.html), which holds without knowing the distribution.
 */
export class Habits {
  readonly #contexts = new Map<string, Context>();

  /** Bound on the probability, in (0, 1], that this outcome comes by chance; 1 for one that was seen before. O(1). */
  chance(context: string, outcome: string): number {
    const known = this.#contexts.get(context);
    if (!known || known.counts.has(outcome)) return 1;
    return (known.once + 1) / (known.total + 1);
  }

  /** How often something followed this context. */
  seen(context: string): number {
    return this.#contexts.get(context)?.total ?? 0;
  }

  add(context: string, outcome: string, times = 1): void {
    let known = this.#contexts.get(context);
    if (!known) {
      if (this.#contexts.size >= MAX_CONTEXTS) return;
      this.#contexts.set(context, (known = { total: 0, once: 0, counts: new Map() }));
    }
    const before = known.counts.get(outcome) ?? 0;
    known.total += times;
    if (before + times === 1) known.once++;
    else if (before === 1) known.once--;
    if (before > 0 || known.counts.size < MAX_OUTCOMES) known.counts.set(outcome, before + times);
  }

  snapshot(): HabitsState {
    return [...this.#contexts].map(([context, { counts }]) => [context, [...counts]]);
  }

  /** In place of what was known. */
  restore(state: HabitsState): void {
    this.#contexts.clear();
    for (const [context, counts] of state)
      for (const [outcome, times] of counts) this.add(context, outcome, times);
  }
}
