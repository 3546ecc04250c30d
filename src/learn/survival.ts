import { CountReader, writeCounts } from "./counts.ts";

/** Characters from a prompt's end, where survival is told apart: by about sqrt 2 from one block of 64 characters on. */
const NEAREST = 64;
const DISTANCES: readonly number[] = Array.from({ length: 24 }, (_, i) =>
  i === 0 ? 0 : Math.round(NEAREST * 2 ** ((i - 1) / 2)),
);
const FARTHEST = DISTANCES.at(-1) as number;
/** Samples that count in full; beyond, old ones are halved. */
const WINDOW = 512;

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
 * distance from the end tells more than the share of the length. What returns at once is counted apart from what returns after
 * other agents have called, and leans on the mean of both with the weight of one sample.
 */
export class Survival {
  /** By agent index: all returns, those after one step, those after more. */
  readonly #agents: (readonly [Survived, Survived, Survived] | undefined)[] = [];

  /**
   * The agent called again.
   *
   * @param lost characters at the earlier prompt's end that the new one does not have; infinite when only the anchor is left.
   */
  returned(agent: number, isNow: boolean, lost: number): void {
    const [all, now, later] = (this.#agents[agent] ??= [survived(), survived(), survived()]);
    count(all, lost);
    count(isNow ? now : later, lost);
  }

  /** Probability that what is at a place survives; 1 before anything is known. */
  kept(agent: number, isNow: boolean, place: number): number {
    const own = this.#agents[agent];
    if (!own) return 1;
    const [all, now, later] = own;
    const base = ((all.kept[place] as number) + 1) / (all.samples + 1);
    const apart = isNow ? now : later;
    return ((apart.kept[place] as number) + base) / (apart.samples + 1);
  }

  /**
   * As `writeCounts` has it, one after the other: agent, counts of returns at once, the same of later ones. Counts are their
   * number; the samples; then a place and by how much more was kept there than at the place before, again and again.
   */
  snapshot(): string {
    let text = "";
    for (const [agent, own] of this.#agents.entries())
      if (own) text += writeCounts([agent, ...listOf(own[1]), ...listOf(own[2])]);
    return text;
  }

  /** Adds what another process counted. @param local translates its agent indices to this one's. */
  restore(text: string, local: (agent: number) => number): void {
    for (const reader = new CountReader(text); !reader.isAtEnd;) {
      const agent = local(reader.next());
      const [all, now, later] = (this.#agents[agent] ??= [survived(), survived(), survived()]);
      for (const apart of [now, later]) {
        const counts = reader.list();
        add(all, counts);
        add(apart, counts);
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
