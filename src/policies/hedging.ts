import { z } from "zod";
import type { Action, Verdict } from "../runtime/action.ts";
import type { CallResult, LateRequestSubject, RequestSubject } from "../runtime/call.ts";
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
  budget: z
    .number()
    .positive()
    .max(1)
    .default(0.05)
    .describe("Most calls that are repeated, as a share of all model calls so far."),
  quantile: z
    .number()
    .min(0.5)
    .max(0.999)
    .default(0.95)
    .describe("A call is late past this quantile of its agent's times to the first token."),
  minCalls: z
    .number()
    .int()
    .positive()
    .default(20)
    .describe("Calls of an agent that have to be measured before one of its calls can be late."),
  agents: z
    .array(z.string())
    .optional()
    .describe("Only calls of these agents are repeated; default: those of all."),
  exceptAgents: z
    .array(z.string())
    .default([])
    .describe("Agents whose calls have side effects at the server: they are never repeated."),
});

type Options = z.output<typeof options>;
type Call = RequestSubject | LateRequestSubject;

/** Times remembered of each agent. */
const WINDOW = 128;
const MAX_AGENTS = 1000;
/** Repeats that a quiet time can save up: one slow moment of an engine must not spend a day's budget at once. */
const MOST_SAVED = 8;
/**
 * Where more calls stall than the quantile leaves out, it is itself the time of a stalled call, and none would ever be late. So
 * one that takes this many times the median is late in any case; the budget bounds what that costs.
 */
const STALLED = 4;
/** The time of a call that was answered elsewhere, in milliseconds: longer than any that is known. */
const UNKNOWN_MS = 1e9;

const state = z.record(z.string(), z.array(z.number().nonnegative()));

/** The newest times of one agent's calls to their first token, in milliseconds. */
class Times {
  readonly newest: number[] = [];
  readonly #sorted: number[] = [];

  add(ms: number): void {
    if (this.newest.length === WINDOW)
      this.#sorted.splice(this.#sorted.indexOf(this.newest.shift() as number), 1);
    this.newest.push(ms);
    const place = this.#sorted.findIndex((other) => other > ms);
    this.#sorted.splice(place < 0 ? this.#sorted.length : place, 0, ms);
  }

  at(quantile: number): number {
    return this.#sorted[Math.ceil(quantile * this.#sorted.length) - 1] as number;
  }
}

/**
 * A model call that is late is made a second time, on another server; who answers first stands, the other one is aborted
 * (hedged requests: Dean and Barroso, https://doi.org/10.1145/2408776.2408794).
 *
 * Late is past a quantile of its agent's times to the first token; of answers that do not stream, to the answer. Each call adds
 * its share to the budget and each repeat takes one from it; while there is none left, late calls wait for it, so that it goes
 * to those that are still late then. Calls of which the server keeps something are never repeated, nor are any while no second
 * server is up.
 */
export default definePolicy({
  name: "hedging",
  description: "A call that is late is repeated on another server, within a budget; who answers first stands",
  subject: ["request", "late-request"],
  actions: ["hold", "route"],
  options,
  create: (context): Policy<Call["kind"]> => new Hedging(context),
});

class Hedging implements Policy<Call["kind"]> {
  readonly #options: Options;
  readonly #now: () => number;
  readonly #times = new Map<string, Times>();
  /** When calls under way were let go on. */
  readonly #started = new Map<string, number>();
  /** Calls that a second server answered. */
  readonly #beaten = new Set<string>();
  #budget = 0;

  constructor({ options: chosen, clock }: PolicyContext<Options>) {
    this.#options = chosen;
    this.#now = () => clock.now();
  }

  observe(event: Event): void {
    if (event.type === "request-first-token") this.#learn(event.request, event.agent, "stream", event.at);
    else if (event.type === "request-end" && event.status === "completed")
      this.#learn(event.request, event.agent, "whole", event.at);
  }

  patience({ agent, streams }: RequestSubject): number | undefined {
    const { agents, exceptAgents, quantile, minCalls } = this.#options;
    if (exceptAgents.includes(agent) || agents?.includes(agent) === false) return undefined;
    const times = this.#times.get(keyOf(agent, streams === true ? "stream" : "whole"));
    if (!times || times.newest.length < Math.min(minCalls, WINDOW)) return undefined;
    return Math.min(times.at(quantile), STALLED * times.at(0.5));
  }

  act(
    ranked: readonly Scored<Call["kind"]>[],
    _predictions: readonly Prediction[],
    { workers }: GateMoment,
  ): readonly Action[] {
    let left = this.#budget;
    return ranked.flatMap(({ item: call }): Action | readonly Action[] => {
      if (call.kind !== "late-request") return [];
      const [other] = workers
        .filter(({ baseURL, isUp }) => isUp && baseURL !== call.worker)
        .toSorted((a, b) => a.underWay - b.underWay);
      if (!other) return [];
      if (left < 1)
        return { type: "hold", call, forMs: Number.POSITIVE_INFINITY, reason: "the budget is spent" };
      left--;
      const waited = Math.round(call.at - (this.#started.get(call.id) ?? call.at));
      const reason = `no first token after ${waited} ms`;
      return { type: "route", call, baseURL: other.baseURL, reason };
    });
  }

  decided({ kind, id }: Call, { type }: Verdict): void {
    if (kind === "late-request") {
      if (type === "route") this.#budget--;
    } else if (type === "admit" || type === "route") {
      this.#started.set(id, this.#now());
      this.#budget = Math.min(MOST_SAVED, this.#budget + this.#options.budget);
    }
  }

  ended({ kind, id }: Call, { status }: CallResult): void {
    if (kind === "late-request") {
      if (status === "completed" && this.#started.has(id)) this.#beaten.add(id);
      return;
    }
    this.#started.delete(id);
    this.#beaten.delete(id);
  }

  /** Times by agent. What is left of the budget is not kept: it is a share of the calls of this process. */
  snapshot(): unknown {
    return Object.fromEntries([...this.#times].map(([key, { newest }]) => [key, newest]));
  }

  restore(given: unknown): void {
    for (const [key, newest] of Object.entries(state.parse(given)))
      for (const ms of newest) this.#timesOf(key).add(ms);
  }

  #learn(request: string, agent: string, form: Form, at: number): void {
    const since = this.#started.get(request);
    if (since === undefined) return;
    // Its first token counts; the end of a stream does not.
    this.#started.delete(request);
    this.#timesOf(keyOf(agent, form)).add(
      this.#beaten.delete(request) ? UNKNOWN_MS : Math.max(0, at - since),
    );
  }

  #timesOf(key: string): Times {
    let times = this.#times.get(key);
    if (times) return times;
    const oldest = this.#times.keys().next().value;
    if (this.#times.size >= MAX_AGENTS && oldest !== undefined) this.#times.delete(oldest);
    this.#times.set(key, (times = new Times()));
    return times;
  }
}

type Form = "stream" | "whole";

function keyOf(agent: string, form: Form): string {
  return `${form} ${agent}`;
}
