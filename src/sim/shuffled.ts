/**
 * A shuffled copy (Fisher and Yates, in Durstenfeld's form: https://doi.org/10.1145/364520.364540).
 *
 * @param below a whole number in [0, limit), evenly distributed; called once for each item but the first.
 */
export function shuffled<T>(items: readonly T[], below: (limit: number) => number): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = below(i + 1);
    [result[i], result[j]] = [result[j] as T, result[i] as T];
  }
  return result;
}
