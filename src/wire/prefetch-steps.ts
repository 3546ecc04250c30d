import type { Event } from "../runtime/event.ts";
import { UnderWay } from "./under-way.ts";

/** Calls over which it is counted how often one comes; enough that one more changes little. */
const CALLS = 64;
/** Fewer tokens than that are computed in about the time of one token: engines compute prompts in batches. */
const LEAST_TOKENS = 64;
/** Share of what was measured before that a step leaves. */
const KEPT = 0.9;

/**
 * How many tokens of a prefetch to compute at one go, on an engine that cannot be interrupted.
 *
 * A call that comes during a step of s milliseconds waits for s/2 of them on average, so that each millisecond of computing ahead
 * costs calls r * s/2, where r is how many come per millisecond of idle time; it saves p, the probability that somebody asks for
 * what it computed. Each step also costs o milliseconds of its own, which a shorter prefetch would have had. The least of both is
 * at s = sqrt(2 * p * o / r), as with the interval of checkpoints (https://doi.org/10.1145/361147.361115). Where even the
 * shortest step costs more than it saves, none is taken.
 */
export class PrefetchSteps {
  readonly #most: number;
  readonly #now: () => number;
  readonly #underWay = new UnderWay<true>();
  /** Idle time so far when each of the newest calls came. */
  readonly #idleAt: number[] = [];
  #idleMs = 0;
  #idleSince: number;
  #tokens = 0;
  #promptMs = 0;
  #ownMs = 0;
  #steps = 0;

  /** @param most tokens of one step. */
  constructor(most: number, now: () => number) {
    this.#most = most;
    this.#now = now;
    this.#idleSince = now();
  }

  observe(event: Event): void {
    if (event.type === "request-start") {
      const now = this.#now();
      if (this.#underWay.size === 0) this.#idleMs += now - this.#idleSince;
      this.#underWay.begin(event.request, now, true);
      this.#idleAt.push(this.#idleMs);
      if (this.#idleAt.length > CALLS) this.#idleAt.shift();
    } else if (event.type === "request-end" && this.#underWay.end(event.request)) {
      if (this.#underWay.size === 0) this.#idleSince = this.#now();
    }
  }

  /** A step took so long, of which computing was a part. */
  computed(tokens: number, promptMs: number, wholeMs: number): void {
    this.#tokens = KEPT * this.#tokens + tokens;
    this.#promptMs = KEPT * this.#promptMs + promptMs;
    this.#ownMs = KEPT * this.#ownMs + Math.max(0, wholeMs - promptMs);
    this.#steps = KEPT * this.#steps + 1;
  }

  /** Tokens of the next step; 0 where computing ahead costs the calls that come meanwhile more than it saves. */
  next(probability: number): number {
    // What a step costs is not known before one was taken.
    if (this.#tokens === 0) return LEAST_TOKENS;
    const rate = this.#callsPerIdleMs();
    if (rate === 0) return this.#most;
    const tokenMs = this.#promptMs / this.#tokens;
    if ((rate * LEAST_TOKENS * tokenMs) / 2 > probability) return 0;
    const stepMs = Math.sqrt((2 * probability * this.#ownMs) / this.#steps / rate);
    return Math.min(this.#most, Math.max(LEAST_TOKENS, Math.round(stepMs / tokenMs)));
  }

  #callsPerIdleMs(): number {
    const [first] = this.#idleAt;
    const calls = this.#idleAt.length - 1;
    if (first === undefined || calls < 1) return 0;
    const idleNow = this.#underWay.size === 0 ? this.#now() - this.#idleSince : 0;
    return calls / Math.max(1, this.#idleMs + idleNow - first);
  }
}
