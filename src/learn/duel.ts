/** Calls that count in full; older ones fade, so that a workload that changes is followed within as many calls. */
const WINDOW = 1024;
const FADING = Math.exp(-1 / WINDOW);
/** Standard errors ahead that are taken for more than chance: 5 in 100 times chance alone is further off. */
const SURE = 2;

/**
 * Which of two rules has done better of late, judged call by call on the same requests.
 *
 * The paired differences of their scores, each weighted by exp(-age/WINDOW) with the age in calls, are compared with what
 * chance alone would add up to: the one behind takes over when it is ahead by two standard errors: each change of sides
 * costs, since the cache holds what the other rule has kept.
 */
export class Duel {
  #difference = 0;
  #squares = 0;
  #hasSecondLead = false;

  /** The second of the two leads; false at first. */
  get hasSecondLead(): boolean {
    return this.#hasSecondLead;
  }

  /** One call: what each of the two scored on it. @returns whether the lead changed hands. */
  score(first: number, second: number): boolean {
    const difference = second - first;
    if (difference === 0) return false;
    this.#difference = this.#difference * FADING + difference;
    this.#squares = this.#squares * FADING + difference ** 2;
    const ahead = this.#hasSecondLead ? -this.#difference : this.#difference;
    if (ahead <= SURE * Math.sqrt(this.#squares)) return false;
    this.#hasSecondLead = !this.#hasSecondLead;
    return true;
  }
}
