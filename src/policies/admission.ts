import { z } from "zod";
import type { Action, Verdict } from "../runtime/action.ts";
import type { RequestSubject } from "../runtime/call.ts";
import type { Event } from "../runtime/event.ts";
import {
  definePolicy,
  type GateMoment,
  type Policy,
  type PolicyContext,
  type Prediction,
  type Scored,
} from "../runtime/policy.ts";

const options = z.strictObject({
  initial: z
    .number()
    .int()
    .positive()
    .default(8)
    .describe("Model calls under way at once, before anything is measured."),
  min: z.number().int().positive().default(2).describe("Least calls under way at once that it goes down to."),
  max: z.number().int().positive().default(256).describe("Most calls under way at once that it goes up to."),
  tolerance: z
    .number()
    .min(1)
    .default(2)
    .describe(
      "Mean latency may be this many times that of an idle engine before fewer calls are let go at once.",
    ),
  reserved: z
    .number()
    .min(0)
    .max(0.9)
    .default(0.15)
    .describe("Share of the calls under way that only those of a priority above 0.5 may take up."),
  maxWaiting: z
    .number()
    .int()
    .nonnegative()
    .default(1000)
    .describe("Calls that may wait; what comes on top, of least priority, is denied."),
  shedLate: z.boolean().default(true).describe("Deny a call whose deadline has passed instead of making it."),
  weight: z.number().positive().default(1).describe("Weight of its order among those of other policies."),
});

type Options = z.output<typeof options>;

const NO_PRIORITY = 0.5;
/** Of each new sample in the latency of now; about ten calls are remembered. */
const RECENT = 0.1;
/** Of each new sample in the latency of an engine with little to do. */
const IDLE = 0.05;
const SMOOTHING = 0.2;
const state = z.strictObject({
  limit: z.number().positive(),
  firstToken: z.array(z.number().nonnegative()),
  perToken: z.array(z.number().nonnegative()),
});

/**
 * Lets as many model calls go at once as the engine serves without getting slow; the others wait, by priority.
 *
 * The limit follows the latency against that of an idle engine, as a gradient
 * (https://github.com/Netflix/concurrency-limits): time to the first token where answers stream, else time per token.
 */
export default definePolicy({
  name: "admission",
  description: "As many calls at once as the engine serves well; priorities, deadlines, shedding",
  subject: "request",
  actions: ["admit", "hold", "deny"],
  options,
  create: (context): Policy<"request"> => new Admission(context),
});

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

class Admission implements Policy<"request"> {
  readonly weight: number;
  readonly #options: Options;
  readonly #now: () => number;
  /** Clock time at which calls under way were let go. */
  readonly #started = new Map<string, number>();
  readonly #firstToken = new Latency();
  readonly #perToken = new Latency();
  #limit: number;

  constructor({ options: chosen, clock }: PolicyContext<Options>) {
    this.#options = chosen;
    this.weight = chosen.weight;
    this.#now = () => clock.now();
    this.#limit = Math.min(chosen.max, Math.max(chosen.min, chosen.initial));
  }

  observe(event: Event): void {
    if (event.type === "request-first-token") {
      const since = this.#started.get(event.request);
      if (since === undefined) return;
      this.#learn(this.#firstToken, event.at - since);
    } else if (event.type === "request-end" && event.status === "completed") {
      const since = this.#started.get(event.request);
      const tokens = event.usage?.outputTokens ?? 0;
      // Where first tokens are seen they tell more.
      if (since === undefined || tokens === 0 || this.#firstToken.now > 0) return;
      this.#learn(this.#perToken, (event.at - since) / tokens);
    }
  }

  score({ priority = NO_PRIORITY }: RequestSubject): number {
    return priority;
  }

  act(
    ranked: readonly Scored<"request">[],
    _predictions: readonly Prediction[],
    { now, underWay }: GateMoment,
  ): readonly Action[] {
    const { maxWaiting, shedLate, reserved } = this.#options;
    const kept = Math.floor(this.#limit * reserved);
    let room = Math.floor(this.#limit) - underWay;
    let waiting = 0;
    return ranked.map(({ item: call }): Action => {
      const leftMs = (call.deadline ?? Number.POSITIVE_INFINITY) - now;
      if (shedLate && leftMs <= 0) return { type: "deny", call, reason: "its deadline has passed" };
      const isUrgent = (call.priority ?? NO_PRIORITY) > NO_PRIORITY;
      if (room > (isUrgent ? 0 : kept)) {
        room--;
        return { type: "admit", call };
      }
      if (waiting++ >= maxWaiting)
        return { type: "deny", call, reason: `${maxWaiting} calls that go first are waiting already` };
      const reason = `${underWay} calls are under way, which is what the engine serves well`;
      return { type: "hold", call, forMs: shedLate ? leftMs : Number.POSITIVE_INFINITY, reason };
    });
  }

  decided({ id }: RequestSubject, { type }: Verdict): void {
    if (type === "admit" || type === "route") this.#started.set(id, this.#now());
  }

  ended({ id }: RequestSubject): void {
    this.#started.delete(id);
  }

  /** The limit, and the latencies that it came from. */
  snapshot(): unknown {
    const [firstToken, perToken] = [this.#firstToken, this.#perToken].map((one) => [one.idle, one.now]);
    return { limit: this.#limit, firstToken, perToken };
  }

  restore(given: unknown): void {
    const { limit, firstToken, perToken } = state.parse(given);
    this.#limit = Math.min(this.#options.max, Math.max(this.#options.min, limit));
    [this.#firstToken.idle = 0, this.#firstToken.now = 0] = firstToken;
    [this.#perToken.idle = 0, this.#perToken.now = 0] = perToken;
  }

  #learn(latency: Latency, sample: number): void {
    if (!(sample >= 0)) return;
    const { min, max, tolerance } = this.#options;
    latency.add(sample, this.#started.size <= Math.max(min, this.#limit / 4));
    // Far from the limit, latency says nothing about it.
    if (this.#started.size < this.#limit / 2) return;
    const gradient = Math.min(1, Math.max(0.5, (tolerance * latency.idle) / Math.max(latency.now, 1e-6)));
    // One more at a time while the gradient is 1.
    const wanted = this.#limit * gradient + 1;
    this.#limit = Math.min(max, Math.max(min, this.#limit + (wanted - this.#limit) * SMOOTHING));
  }
}
