/** Calls without a priority, on the scale of the runtime: [0, 1], higher goes first. */
const NONE = 0.5;
/** Steps of that scale, so that what differs in the third digit is still told apart. */
const STEPS = 1000;

/** What goes behind every call, whatever its priority, where lower goes first. */
export const BEHIND_ALL_OTHERS = STEPS;

/**
 * A priority of the runtime as an integer, where higher goes first and calls without one have 0: from -500 to 500. Negated, it is
 * that of engines where lower goes first.
 */
export function steps(priority: number = NONE): number {
  return Math.round((priority - NONE) * STEPS);
}

/** Field `priority` of engines where lower goes first, as in vLLM; none where it would say nothing. */
export function lowerFirst(priority: number | undefined): { readonly priority?: number } {
  const own = -steps(priority);
  return own === 0 ? {} : { priority: own };
}
