/** Width of a class, in the logarithm of the rate. */
const CLASS = Math.log(1.25);

/**
 * Turns expected uses per step, at most 1 for a run's own prefix and unbounded for a shared one, into a value in [0, 1].
 *
 * Rates come in classes, each 1.25 times the one below: an estimate from n uses has a standard error of 1/sqrt(n) of itself
 * (Poisson), which is a quarter for 16, so that below that a smaller difference says nothing. Where estimates differ by less,
 * caches go by last use among equals, and so do no worse than LRU where there is nothing to be learned.
 */
export function rateToValue(rate: number): number {
  if (!(rate > 0)) return 0;
  const known = Math.exp(Math.round(Math.log(rate) / CLASS) * CLASS);
  return known / (1 + known);
}
