/** What happened in one stretch of time. */
export interface Bucket {
  requests: number;
  /** Prompt tokens of requests whose cached tokens the engine reported, and those. */
  promptTokens: number;
  cachedTokens: number;
  /** Of the same requests: what the shadows found. */
  lruTokens: number;
  releaseTokens: number;
  /** Prompt tokens that the shadows were asked for; fewer than above while the engine's capacity is not known. */
  shadowedTokens: number;
  /** Milliseconds to the first token, by how much of the prompt was cached: half of it at least, less, not reported. */
  readonly firstTokens: readonly [mostly: number[], less: number[], unknown: number[]];
  /** Share of the KV budget in use when last asked; null: not known. */
  occupancy: number | null;
}

/** Buckets are this long at first, in milliseconds. */
const FIRST_WIDTH = 1000;
const MAX_BUCKETS = 240;
/** First tokens kept of a bucket and kind. */
const MAX_SAMPLES = 256;

/**
 * All that happened since the start in at most 240 buckets of equal length: when they are full, each two become one.
 */
export class History {
  readonly startedAt: number;
  #width = FIRST_WIDTH;
  #buckets: Bucket[] = [emptyBucket()];

  constructor(startedAt: number) {
    this.startedAt = startedAt;
  }

  /** Milliseconds. */
  get width(): number {
    return this.#width;
  }

  /** Oldest first; the last is still being filled. */
  get buckets(): readonly Bucket[] {
    return this.#buckets;
  }

  /** The bucket of this moment; what comes late counts for the latest. */
  at(now: number): Bucket {
    let index = Math.max(0, Math.floor((now - this.startedAt) / this.#width));
    while (index >= MAX_BUCKETS) {
      this.#halve();
      index = Math.floor(index / 2);
    }
    while (this.#buckets.length <= index) this.#buckets.push(emptyBucket());
    return this.#buckets.at(-1) as Bucket;
  }

  #halve(): void {
    this.#width *= 2;
    const halved: Bucket[] = [];
    for (let i = 0; i < this.#buckets.length; i += 2)
      halved.push(merged(this.#buckets[i] as Bucket, this.#buckets[i + 1]));
    this.#buckets = halved;
  }
}

/** Adds a first token's time to a bucket; of very many every other one is let go. */
export function addFirstToken(samples: number[], milliseconds: number): void {
  samples.push(milliseconds);
  if (samples.length > MAX_SAMPLES) thin(samples);
}

function merged(one: Bucket, other: Bucket | undefined): Bucket {
  if (!other) return one;
  const samples = (kind: 0 | 1 | 2) => {
    const both = [...one.firstTokens[kind], ...other.firstTokens[kind]];
    if (both.length > MAX_SAMPLES) thin(both);
    return both;
  };
  return {
    requests: one.requests + other.requests,
    promptTokens: one.promptTokens + other.promptTokens,
    cachedTokens: one.cachedTokens + other.cachedTokens,
    lruTokens: one.lruTokens + other.lruTokens,
    releaseTokens: one.releaseTokens + other.releaseTokens,
    shadowedTokens: one.shadowedTokens + other.shadowedTokens,
    firstTokens: [samples(0), samples(1), samples(2)],
    occupancy: other.occupancy ?? one.occupancy,
  };
}

function thin(samples: number[]): void {
  let kept = 0;
  for (let i = 0; i < samples.length; i += 2) samples[kept++] = samples[i] as number;
  samples.length = kept;
}

function emptyBucket(): Bucket {
  return {
    requests: 0,
    promptTokens: 0,
    cachedTokens: 0,
    lruTokens: 0,
    releaseTokens: 0,
    shadowedTokens: 0,
    firstTokens: [[], [], []],
    occupancy: null,
  };
}
