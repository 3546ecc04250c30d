import { CountReader, writeCounts } from "./counts.ts";

/** Characters from a prompt's end, where survival is told apart: by about sqrt 2 from one block of 64 characters on. */
const NEAREST = 64;
const DISTANCES: readonly number[] = Array.from({ length: 24 }, (_, i) =>
  i === 0 ? 0 : Math.round(NEAREST * 2 ** ((i - 1) / 2)),
);
const FARTHEST = DISTANCES.at(-1) as number;
/** Samples that count in full; beyond, old ones are halved. */
const WINDOW = 512;

/** Probabilities that differ by no more do so by rounding. */
const ALIKE = 1e-6;

/** Places between which survival is not told apart; place 0 is the prompt's very end. */
export const PLACES = DISTANCES.length;

/** The place of what ends this many characters before the prompt's end. */
export function placeOf(fromEnd: number): number {
  if (fromEnd < NEAREST) return 0;
  if (fromEnd >= FARTHEST) return PLACES - 1;
  // Two places for each doubling.
  const even = 1 + 2 * (Math.clz32(NEAREST) - Math.clz32(fromEnd));
  return fromEnd < (DISTANCES[even + 1] as number) ? even : even + 1;
}

/** First distance from a prompt's end, in characters, that is beyond a place. */
export function endOf(place: number): number {
  return DISTANCES[place + 1] ?? Number.POSITIVE_INFINITY;
}

/** Steps from one call of an agent to its next are told apart up to this many, by doublings. */
export const LONGEST_TOLD_APART = 8;
/** Classes of returns: after one step, two, up to four, up to eight, more. */
export const RETURNS = 5;

/** By class: of what every prompt of an agent begins with. */
export const ALL_KEPT: Float64Array = new Float64Array(RETURNS).fill(1);

/** The class of a return after so many steps, at least 1. */
export function returnOf(steps: number): number {
  return steps > LONGEST_TOLD_APART ? RETURNS - 1 : 32 - Math.clz32(steps - 1);
}

/** How often a prompt was followed by another of its agent, and at which places it had survived. */
interface Survived {
  samples: number;
  readonly kept: Float32Array;
}

/**
 * Survival of a prompt's parts: does an agent's next prompt still begin with what its previous one held at a distance
 * from its end?
 *
 * Prompts lose their last messages (a question that is replaced) or all but their anchor (a task that is over), so the
 * distance from the end tells more than the share of the length. Returns are told apart by how long the agent was away, since who
 * answers in a dialogue goes on with it, and who comes back much later begins another; each class leans on all that are not at
 * once, and those on all together, with the weight of one sample.
 */
export class Survival {
  /** By agent index. */
  readonly #agents: (Agent | undefined)[] = [];

  /**
   * The agent called again.
   *
   * @param steps since its call before. @param lost characters at the earlier prompt's end that the new one does not have;
   * infinite when only the anchor is left.
   */
  returned(agent: number, steps: number, lost: number): void {
    const own = (this.#agents[agent] ??= newAgent());
    const found = returnOf(steps);
    count(own.all, lost);
    own.tails.length = 0;
    if (found > 0) count(own.later, lost);
    count(own.apart[found] as Survived, lost);
  }

  /** Probability that what is at a place survives a return after more than one step; 1 before anything is known. */
  keptLater(agent: number, place: number): number {
    const own = this.#agents[agent];
    return own ? shrunk(own.later, place, shrunk(own.all, place, 1)) : 1;
  }

  /**
   * Characters at a history's end that survive less often than what stands before them: cut where both parts are most alike in
   * themselves, as regression trees split (Breiman et al. 1984). 0: all of it survives alike.
   *
   * @param length characters of the history.
   */
  tail(agent: number, length: number): number {
    const own = this.#agents[agent];
    if (!own) return 0;
    const place = placeOf(length);
    return (own.tails[place] ??= tailOf(own.all, place));
  }

  /** Fills `out`, by class of steps, with the probability that what is at a place survives such a return. */
  kept(agent: number, place: number, out: Float64Array): Float64Array {
    const own = this.#agents[agent];
    if (!own) return out.fill(1);
    const all = shrunk(own.all, place, 1);
    const later = shrunk(own.later, place, all);
    for (let found = 0; found < RETURNS; found++)
      out[found] = shrunk(own.apart[found] as Survived, place, found === 0 ? all : later);
    return out;
  }

  /**
   * As `writeCounts` has it, one after the other: agent, counts of returns at once, the same of all later ones. Counts are their
   * number; the samples; then a place and by how much more was kept there than at the place before, again and again.
   *
   * @param isTold whether an agent is to be there; default: all are.
   */
  snapshot(isTold: (agent: number) => boolean = () => true): string {
    let text = "";
    for (const [agent, own] of this.#agents.entries())
      if (own && isTold(agent))
        text += writeCounts([agent, ...listOf(own.apart[0] as Survived), ...listOf(own.later)]);
    return text;
  }

  /** Forgets some agents. */
  forget(isOver: (agent: number) => boolean): void {
    for (const agent of this.#agents.keys()) if (isOver(agent)) this.#agents[agent] = undefined;
  }

  /** Adds what another process counted. @param local translates its agent indices to this one's. */
  restore(text: string, local: (agent: number) => number): void {
    for (const reader = new CountReader(text); !reader.isAtEnd;) {
      const agent = local(reader.next());
      const { all, later, apart, tails } = (this.#agents[agent] ??= newAgent());
      tails.length = 0;
      for (const one of [apart[0] as Survived, later]) {
        const counts = reader.list();
        add(all, counts);
        add(one, counts);
      }
    }
  }
}

function listOf({ samples, kept }: Survived): readonly number[] {
  const list = [Math.round(samples)];
  let before = 0;
  for (const [place, survivors] of kept.entries()) {
    const whole = Math.round(survivors);
    if (whole > before) list.push(place, whole - before);
    before = whole;
  }
  return [list.length, ...list];
}

function add(target: Survived, [samples = 0, ...rises]: readonly number[]): void {
  target.samples += samples;
  for (let i = 0; i < rises.length; i += 2)
    for (let place = rises[i] ?? PLACES; place < PLACES; place++)
      target.kept[place] = (target.kept[place] as number) + (rises[i + 1] ?? 0);
}

/** Of one agent: all returns, those after more than one step, and those of each class. */
interface Agent {
  readonly all: Survived;
  readonly later: Survived;
  readonly apart: readonly Survived[];
  /** As computed since the last return, by the place of a history's beginning. */
  readonly tails: number[];
}

function newAgent(): Agent {
  return { all: survived(), later: survived(), apart: Array.from({ length: RETURNS }, survived), tails: [] };
}

/** Of a history that begins at `place`. */
function tailOf(all: Survived, place: number): number {
  const length = DISTANCES[place] as number;
  const widthOf = (at: number) => endOf(at) - (DISTANCES[at] as number);
  let sum = 0;
  for (let at = 0; at < place; at++) sum += widthOf(at) * shrunk(all, at, 1);
  let [best, most, tail, tailSum] = [0, 0, 0, 0];
  for (let at = 0; at < place - 1; at++) {
    tail += widthOf(at);
    tailSum += widthOf(at) * shrunk(all, at, 1);
    const head = length - tail;
    const apart = (sum - tailSum) / head - tailSum / tail;
    const explained = tail * head * apart * apart;
    if (apart > ALIKE && explained > most) [best, most] = [tail, explained];
  }
  return best;
}

function shrunk({ samples, kept }: Survived, place: number, base: number): number {
  return ((kept[place] as number) + base) / (samples + 1);
}

function survived(): Survived {
  return { samples: 0, kept: new Float32Array(PLACES) };
}

function count(target: Survived, lost: number): void {
  if (target.samples >= WINDOW) {
    target.samples /= 2;
    for (let place = 0; place < PLACES; place++) target.kept[place] = (target.kept[place] as number) / 2;
  }
  target.samples++;
  for (let place = PLACES - 1; place >= 0 && (DISTANCES[place] as number) >= lost; place--)
    target.kept[place] = (target.kept[place] as number) + 1;
}
