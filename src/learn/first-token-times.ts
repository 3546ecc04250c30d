/** Weight of each new call; about thirty are remembered. */
const RECENT = 1 / 32;
/** One stalled call says no more about its server than one that took this many times as long as usual. */
const MOST = 8;
/** Servers less far apart than this factor are equally fast: the rest is chance. */
const NOISE = 1.5;
/** Calls of a server before its mean says anything. */
const FEW = 8;

interface Server {
  calls: number;
  /** Mean of how long first tokens took there, the common line being 1. */
  ratio: number;
}

/**
 * How long first tokens take. One line for all servers, by least squares over the tokens that have to be computed before, old
 * calls fading; and for each server how much slower than that line it is. A line, since what a call costs beside its tokens
 * would make the server with the best cache look the slowest.
 */
export class FirstTokenTimes {
  readonly #servers = new Map<string, Server>();
  /** Fading sums over calls: 1, tokens, milliseconds, tokens squared, tokens times milliseconds. */
  #weight = 0;
  #tokens = 0;
  #ms = 0;
  #squared = 0;
  #product = 0;

  /** @param tokens that had to be computed before the first token, those of calls ahead included. */
  add(name: string, tokens: number, ms: number): void {
    const usual = this.#overheadMs + this.#msPerToken * tokens;
    const counted = usual > 0 ? Math.min(ms, usual * MOST) : ms;
    if (usual > 0) this.#compare(name, counted / usual);
    const fade = 1 - RECENT;
    this.#weight = this.#weight * fade + RECENT;
    this.#tokens = this.#tokens * fade + tokens * RECENT;
    this.#ms = this.#ms * fade + counted * RECENT;
    this.#squared = this.#squared * fade + tokens * tokens * RECENT;
    this.#product = this.#product * fade + tokens * counted * RECENT;
  }

  /** How many times as long as usual this server takes; 1 while too little is known, and where it is about as usual. */
  slowness(name: string): number {
    const { calls, ratio } = this.#servers.get(name) ?? { calls: 0, ratio: 1 };
    return calls < FEW || (ratio < NOISE && ratio > 1 / NOISE) ? 1 : ratio;
  }

  /** What a call costs beside its tokens, as tokens. */
  get overhead(): number {
    return this.#msPerToken > 0 ? Math.max(0, this.#overheadMs) / this.#msPerToken : 0;
  }

  /** Expected milliseconds when so many tokens have to be computed before; 0 while nothing is known. */
  ms(tokens: number): number {
    return Math.max(0, this.#overheadMs) + this.#msPerToken * tokens;
  }

  /** Ratios by server, of those known well enough. */
  snapshot(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      [...this.#servers].flatMap(([name, { calls, ratio }]) => (calls < FEW ? [] : [[name, ratio]])),
    );
  }

  restore(ratios: Readonly<Record<string, number>>): void {
    for (const [name, ratio] of Object.entries(ratios)) this.#servers.set(name, { calls: FEW, ratio });
  }

  get #msPerToken(): number {
    const spread = this.#weight * this.#squared - this.#tokens ** 2;
    if (spread <= this.#squared * this.#weight * 1e-6) return 0;
    return Math.max(0, (this.#weight * this.#product - this.#tokens * this.#ms) / spread);
  }

  get #overheadMs(): number {
    return this.#weight === 0 ? 0 : (this.#ms - this.#msPerToken * this.#tokens) / this.#weight;
  }

  #compare(name: string, sample: number): void {
    let server = this.#servers.get(name);
    if (!server) this.#servers.set(name, (server = { calls: 0, ratio: 1 }));
    server.calls++;
    server.ratio += (sample - server.ratio) * RECENT;
  }
}
