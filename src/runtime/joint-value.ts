/**
 * What is worth keeping for two reasons: of a document that two runs ask about, the next use is that of the first to come.
 * A value stands for a rate of uses r, as r/(1+r), and rates add up. With 0 it is the other value, to the bit.
 *
 * @param one in [0, 1], as `other` and what is returned.
 */
export function jointValue(one: number, other: number): number {
  if (one === 0 || other === 0) return one + other;
  return 1 - 1 / (1 + one / (1 - one) + other / (1 - other));
}

/** The same of so many reasons, at least 1, that are each worth `value`. */
export function jointValueOf(reasons: number, value: number): number {
  return (reasons * value) / (1 + (reasons - 1) * value);
}
