import { closest, distance } from "fastest-levenshtein";

/** Letters that may be wrong, at most, and no more than every second one. */
const MOST_WRONG = 3;

/** `Did you mean lru?` when a name is nearly one that is known; undefined when it is like none. */
export function didYouMean(got: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const nearest = closest(got.toLowerCase(), known);
  const wrong = distance(got.toLowerCase(), nearest.toLowerCase());
  return wrong <= Math.min(MOST_WRONG, nearest.length / 2) ? `Did you mean ${nearest}?` : undefined;
}
