import { z } from "zod";
import { ConcurrencyLimit, limitState } from "../learn/concurrency-limit.ts";
import type { Action, Verdict } from "../runtime/action.ts";
import type { CallResult, RequestSubject } from "../runtime/call.ts";
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
  by: z
    .enum(["tenant", "session", "agent"])
    .default("tenant")
    .describe("Among whom service is shared; calls that have no such name share as one."),
  concurrency: z
    .union([z.literal("adaptive"), z.number().int().positive()], {
      error: "A whole number from 1 on, or adaptive",
    })
    .default("adaptive")
    .describe(
      "Model calls under way at once; with more than the engine serves well, its own queue decides. adaptive: as many as it serves without its latency doubling, which is learned.",
    ),
  shares: z
    .record(z.string(), z.number().positive())
    .default({})
    .describe("By name: its share of service relative to the others', who have 1."),
  outputWeight: z
    .number()
    .nonnegative()
    .default(2)
    .describe("What a token of an answer counts, a prompt token being 1."),
  weight: z.number().positive().default(1).describe("Weight of its order among those of other policies."),
});

type Options = z.output<typeof options>;

/** What one client was given, and what it has in hand. */
interface Client {
  /** Tokens served by now, divided by its share. */
  served: number;
  /** Calls that wait or are under way. */
  open: number;
}

/** A call under way, and what its client was charged for it. */
interface Charge {
  readonly client: string;
  readonly tokens: number;
  readonly at: number;
  isAnswered: boolean;
}

/** Difference of service at which the favour that the less served has is half of what it can be, in tokens. */
const HALF_FAVOUR = 2000;
const MAX_CLIENTS = 10_000;
/** Of the adaptive limit: before anything is measured, and where it ends. */
const LIMITS = { initial: 8, min: 2, max: 256 };
/** How many times slower than an idle engine one may be that serves well. */
const TOLERANCE = 2;
const state = z.strictObject({
  served: z.array(z.tuple([z.string(), z.number().nonnegative()])),
  limit: limitState,
});

/**
 * Weighted fair service by a virtual token counter (Sheng et al., https://arxiv.org/abs/2401.00588).
 *
 * Of the calls that wait, those of whoever was served the fewest tokens go first. Who was away is lifted to the least served
 * of those who were not, so that nobody saves up service. No one is held while there is room.
 */
export default definePolicy({
  name: "fairness",
  description: "Tenants, sessions or agents share model calls by tokens served; nobody starves",
  subject: "request",
  actions: ["admit", "hold"],
  options,
  create: (context): Policy<"request"> => new Fairness(context),
});

class Fairness implements Policy<"request"> {
  readonly weight: number;
  readonly #options: Options;
  readonly #now: () => number;
  readonly #limit = new ConcurrencyLimit(LIMITS);
  readonly #shares: ReadonlyMap<string, number>;
  readonly #clients = new Map<string, Client>();
  readonly #waiting = new Set<string>();
  /** What calls under way were charged, by call. */
  readonly #charges = new Map<string, Charge>();
  /** Service of the least served client with open calls; undefined when it has to be found again. */
  #least: number | undefined;

  constructor({ options: chosen, clock }: PolicyContext<Options>) {
    this.#options = chosen;
    this.#now = () => clock.now();
    this.weight = chosen.weight;
    this.#shares = new Map(Object.entries(chosen.shares));
  }

  observe(event: Event): void {
    if (event.type !== "request-first-token" && event.type !== "request-end") return;
    const charge = this.#charges.get(event.request);
    if (!charge) return;
    const ms = event.at - charge.at;
    if (event.type === "request-first-token") {
      if (!charge.isAnswered) this.#limit.firstToken(ms, this.#charges.size, TOLERANCE);
      charge.isAnswered = true;
    } else if (event.usage) {
      const { promptTokens = charge.tokens, outputTokens = 0 } = event.usage;
      if (event.status === "completed") this.#limit.answer(ms, outputTokens, this.#charges.size, TOLERANCE);
      this.#charge(charge.client, promptTokens + outputTokens * this.#options.outputWeight - charge.tokens);
    }
  }

  score(call: RequestSubject): number {
    const { served } = this.#arrived(call);
    return HALF_FAVOUR / (HALF_FAVOUR + Math.max(0, served - this.#leastServed()));
  }

  act(
    ranked: readonly Scored<"request">[],
    _predictions: readonly Prediction[],
    { underWay }: GateMoment,
  ): readonly Action[] {
    const { concurrency } = this.#options;
    const most = concurrency === "adaptive" ? this.#limit.value : concurrency;
    const room = most - underWay;
    // The same words for each hold: it is one entry of the ledger, however the limit moves meanwhile.
    const reason = "as many calls are under way as the engine serves well";
    return ranked.map(({ item: call }, place): Action => {
      if (place < room) return { type: "admit", call };
      return { type: "hold", call, forMs: Number.POSITIVE_INFINITY, reason };
    });
  }

  decided(call: RequestSubject, { type }: Verdict): void {
    const client = this.#nameOf(call);
    const isOpen = this.#waiting.delete(call.id);
    if (type !== "admit" && type !== "route") return isOpen ? this.#close(client) : undefined;
    // One that a human was asked about in between comes back from outside.
    if (!isOpen) this.#client(client).open++;
    this.#charges.set(call.id, { client, tokens: call.tokens, at: this.#now(), isAnswered: false });
    this.#charge(client, call.tokens);
  }

  ended(call: RequestSubject, _result: CallResult): void {
    const wasWaiting = this.#waiting.delete(call.id);
    if (this.#charges.delete(call.id) || wasWaiting) this.#close(this.#nameOf(call));
  }

  /** Tokens served, by client, over its share, and the limit that was learned. Of sessions no tokens: their ids stay in this process. */
  snapshot(): unknown {
    const clients = this.#options.by === "session" ? [] : [...this.#clients];
    const served = clients.map(([name, { served: tokens }]) => [name, tokens]);
    return { served, limit: this.#limit.snapshot() };
  }

  restore(given: unknown): void {
    const { served, limit } = state.parse(given);
    for (const [name, tokens] of served) this.#clients.set(name, { served: tokens, open: 0 });
    this.#limit.restore(limit);
  }

  /** The client of a waiting call; the first time that it is seen, its client may have come back. */
  #arrived(call: RequestSubject): Client {
    const name = this.#nameOf(call);
    const client = this.#client(name);
    if (this.#waiting.has(call.id)) return client;
    if (client.open === 0) client.served = Math.max(client.served, this.#leastServed());
    this.#waiting.add(call.id);
    client.open++;
    this.#least = undefined;
    return client;
  }

  #leastServed(): number {
    if (this.#least !== undefined) return this.#least;
    let least = Number.POSITIVE_INFINITY;
    for (const { served, open } of this.#clients.values()) if (open > 0) least = Math.min(least, served);
    return (this.#least = least === Number.POSITIVE_INFINITY ? 0 : least);
  }

  #client(name: string): Client {
    let client = this.#clients.get(name);
    if (client) return client;
    if (this.#clients.size >= MAX_CLIENTS)
      for (const [idle, { open }] of this.#clients) {
        if (open > 0) continue;
        this.#clients.delete(idle);
        break;
      }
    this.#clients.set(name, (client = { served: 0, open: 0 }));
    return client;
  }

  #charge(name: string, tokens: number): void {
    const client = this.#client(name);
    client.served = Math.max(0, client.served + tokens / (this.#shares.get(name) ?? 1));
    this.#least = undefined;
  }

  #close(name: string): void {
    const client = this.#client(name);
    client.open = Math.max(0, client.open - 1);
    this.#least = undefined;
  }

  #nameOf(call: RequestSubject): string {
    return call[this.#options.by] ?? "";
  }
}
