import { distance } from "fastest-levenshtein";

/** Letters that may be wrong, at most, and no more than every second one. */
const MOST_WRONG = 3;
/** Less than a letter: of names that are equally near, the one that begins alike is meant. */
const OTHER_INITIAL = 0.5;

/** `Did you mean lru?` when a name is nearly one that is known; undefined when it is like none. */
export function didYouMean(got: string, known: readonly string[]): string | undefined {
  const typed = got.toLowerCase();
  let nearest = "";
  let least = Infinity;
  for (const name of known) {
    const other = name.toLowerCase();
    const wrong = distance(typed, other) + (typed[0] === other[0] ? 0 : OTHER_INITIAL);
    if (wrong < least) [nearest, least] = [name, wrong];
  }
  return Math.floor(least) <= Math.min(MOST_WRONG, nearest.length / 2)
    ? `Did you mean ${nearest}?`
    : undefined;
}
