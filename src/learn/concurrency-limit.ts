import { z } from "zod";

/** Of each new sample in the latency of now; about ten calls are remembered. */
const RECENT = 0.1;
/** Of each new sample in the latency of an engine with little to do. */
const IDLE = 0.05;
const SMOOTHING = 0.2;

export interface LimitOptions {
  /** Calls under way at once, before anything is measured. */
  readonly initial: number;
  readonly min: number;
  readonly max: number;
}

/** Latency of one kind: idle and now, in milliseconds. */
class Latency {
  idle = 0;
  now = 0;

  /** @param isIdle whether the engine had little to do. Both are means, so that long and short prompts weigh the same. */
  add(sample: number, isIdle: boolean): void {
    this.now = this.now === 0 ? sample : this.now + (sample - this.now) * RECENT;
    if (this.idle === 0) this.idle = sample;
    else if (isIdle) this.idle += (sample - this.idle) * IDLE;
  }
}

const pair = z.tuple([z.number().nonnegative(), z.number().nonnegative()]);
export const limitState = z.strictObject({
  limit: z.number().positive(),
  firstToken: pair,
  perToken: pair,
});

/**
 * How many model calls an engine serves at once without getting slow.
 *
 * The limit follows the latency against that of an idle engine, as a gradient
 * (https://github.com/Netflix/concurrency-limits): time to the first token where answers stream, else time per token.
 */
export class ConcurrencyLimit {
  readonly #options: LimitOptions;
  readonly #firstToken = new Latency();
  readonly #perToken = new Latency();
  #limit: number;

  constructor(options: LimitOptions) {
    this.#options = options;
    const { initial, min, max } = options;
    this.#limit = Math.min(max, Math.max(min, initial));
  }

  /** Calls under way at once, a whole number. */
  get value(): number {
    return Math.floor(this.#limit);
  }

  /**
   * A call has got its first token.
   *
   * @param ms since it was let go.
   * @param underWay calls under way, itself included.
   * @param tolerance mean latency may be this many times that of an idle engine before fewer calls are let go at once.
   */
  firstToken(ms: number, underWay: number, tolerance: number): void {
    this.#learn(this.#firstToken, ms, underWay, tolerance);
  }

  /** A call has its answer, of so many tokens. Where first tokens are seen they tell more, and this is ignored. */
  answer(ms: number, tokens: number, underWay: number, tolerance: number): void {
    if (tokens === 0 || this.#firstToken.now > 0) return;
    this.#learn(this.#perToken, ms / tokens, underWay, tolerance);
  }

  snapshot(): z.output<typeof limitState> {
    const [firstToken, perToken] = [this.#firstToken, this.#perToken];
    return {
      limit: this.#limit,
      firstToken: [firstToken.idle, firstToken.now],
      perToken: [perToken.idle, perToken.now],
    };
  }

  restore({ limit, firstToken, perToken }: z.output<typeof limitState>): void {
    const { min, max } = this.#options;
    this.#limit = Math.min(max, Math.max(min, limit));
    [this.#firstToken.idle, this.#firstToken.now] = firstToken;
    [this.#perToken.idle, this.#perToken.now] = perToken;
  }

  #learn(latency: Latency, sample: number, underWay: number, tolerance: number): void {
    if (!(sample >= 0)) return;
    const { min, max } = this.#options;
    latency.add(sample, underWay <= Math.max(min, this.#limit / 4));
    // Far from the limit, latency says nothing about it.
    if (underWay < this.#limit / 2) return;
    const gradient = Math.min(1, Math.max(0.5, (tolerance * latency.idle) / Math.max(latency.now, 1e-6)));
    // One more at a time while the gradient is 1.
    const wanted = this.#limit * gradient + 1;
    this.#limit = Math.min(max, Math.max(min, this.#limit + (wanted - this.#limit) * SMOOTHING));
  }
}
