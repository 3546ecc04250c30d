/** Multiples of Witten and Bell's doubt that are tried. */
const DOUBTS: readonly number[] = [1, 4, 16, 64];
/** Outcomes that count in full; older ones fade, so that a workload that changes is followed. */
const WINDOW = 1024;
const FADING = 1 - 1 / WINDOW;
/** Least probability: one surprise must not outweigh everything else. */
const LEAST = 1e-3;

/**
 * How far counts of one level of contexts are to be trusted over the level below: n samples with t distinct outcomes have
 * weight n/(n + d t), as Witten and Bell smooth with d = 1 (https://doi.org/10.1109/18.87000). They took each context for
 * informative. Where it is not, d has to be larger; that d is used which would have predicted best of late (prequential
 * choice, Dawid 1984, https://doi.org/10.2307/2981683).
 */
export class Trust {
  readonly #losses = new Float64Array(DOUBTS.length);
  #doubt = DOUBTS[0] as number;

  /** d, at least 1. */
  get doubt(): number {
    return this.#doubt;
  }

  /**
   * An outcome came, before it is counted.
   *
   * @param count how often it was seen in its context, of `total` samples with `distinct` >= 1 outcomes.
   * @param below its probability as the level below had it.
   * @returns its probability as this level had it.
   */
  came(count: number, total: number, distinct: number, below: number): number {
    const losses = this.#losses;
    let best = 0;
    for (let i = 0; i < DOUBTS.length; i++) {
      const p = smoothed(count, total, (DOUBTS[i] as number) * distinct, below);
      losses[i] = (losses[i] as number) * FADING - Math.log(Math.max(LEAST, p));
      if ((losses[i] as number) < (losses[best] as number)) best = i;
    }
    const probability = smoothed(count, total, this.#doubt * distinct, below);
    this.#doubt = DOUBTS[best] as number;
    return probability;
  }
}

function smoothed(count: number, total: number, doubt: number, below: number): number {
  return (count + doubt * below) / (total + doubt);
}
