import { LRUCache } from "lru-cache";
import { z } from "zod";
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
  maxHoldMs: z
    .number()
    .positive()
    .default(500)
    .describe(
      "Most milliseconds that a call waits for the one that computes its anchor. Where answers do not stream, the end of that one is all that is seen of it.",
    ),
  minTokens: z
    .number()
    .int()
    .positive()
    .default(128)
    .describe("Anchors of fewer tokens are not worth waiting for."),
  warmMs: z
    .number()
    .positive()
    .default(60_000)
    .describe(
      "Milliseconds after its last use for which an anchor is taken to be cached, unless the engine says otherwise.",
    ),
});

type Options = z.output<typeof options>;

const MAX_ANCHORS = 10_000;
/** An anchor of which less than this was found in cache is not there any more. */
const FOUND = 0.5;

/**
 * Of runs that come to the same cold anchor at once, one computes it and the others follow.
 *
 * Without it, each of them prefills the same system message and tools, since none finds them in cache yet. They wait until
 * the first token of the one that goes, and never longer than the bound. Engines that share what is still being computed, as
 * the embedded one does, have no need of it.
 */
export default definePolicy({
  name: "batch-shaping",
  description: "Of calls that need the same cold anchor at once, one computes it and the others follow",
  subject: "request",
  actions: ["hold"],
  options,
  create: (context): Policy<"request"> => new BatchShaping(context),
});

class BatchShaping implements Policy<"request"> {
  readonly #options: Options;
  /** Anchors that are in cache, as far as is known. */
  readonly #warm: LRUCache<string, true>;
  /** The call under way that computes an anchor, by anchor; and what calls under way need, by call. */
  readonly #leaders = new Map<string, string>();
  readonly #underWay = new Map<string, RequestSubject>();

  constructor({ options: chosen, clock }: PolicyContext<Options>) {
    this.#options = chosen;
    this.#warm = new LRUCache({
      max: MAX_ANCHORS,
      ttl: chosen.warmMs,
      ttlResolution: 0,
      updateAgeOnGet: true,
      perf: { now: () => clock.now() },
    });
  }

  observe(event: Event): void {
    if (event.type !== "request-first-token" && event.type !== "request-end") return;
    const call = this.#underWay.get(event.request);
    if (!call) return;
    if (event.type === "request-first-token") this.#arrived(call);
    else if (event.usage?.cachedTokens !== undefined && this.#leaders.get(call.anchor) !== call.id) {
      if (event.usage.cachedTokens < FOUND * call.anchorTokens) this.#warm.delete(call.anchor);
    }
  }

  act(
    ranked: readonly Scored<"request">[],
    _predictions: readonly Prediction[],
    { now }: GateMoment,
  ): readonly Action[] {
    const { maxHoldMs, minTokens } = this.#options;
    const ahead = new Set(this.#leaders.keys());
    return ranked.flatMap(({ item: call }): Action | readonly Action[] => {
      const leftMs = call.at + maxHoldMs - now;
      if (call.anchorTokens < minTokens || leftMs <= 0 || this.#warm.has(call.anchor)) return [];
      if (ahead.has(call.anchor))
        return { type: "hold", call, forMs: leftMs, reason: "another call computes its anchor" };
      ahead.add(call.anchor);
      return [];
    });
  }

  decided(call: RequestSubject, { type }: Verdict): void {
    if (type !== "admit" && type !== "route") return;
    this.#underWay.set(call.id, call);
    if (this.#warm.get(call.anchor) !== true && !this.#leaders.has(call.anchor))
      this.#leaders.set(call.anchor, call.id);
  }

  ended(call: RequestSubject, { status }: CallResult): void {
    if (!this.#underWay.delete(call.id)) return;
    if (status === "completed") this.#arrived(call, true);
    // The next one that needs it computes it.
    if (this.#leaders.get(call.anchor) === call.id) this.#leaders.delete(call.anchor);
  }

  /** Anchors taken to be cached hold for one engine's life and for seconds only: nothing is worth keeping. */
  #arrived(call: RequestSubject, asLeader = false): void {
    if (asLeader && this.#leaders.get(call.anchor) !== call.id) return;
    this.#warm.set(call.anchor, true);
    if (this.#leaders.get(call.anchor) === call.id) this.#leaders.delete(call.anchor);
  }
}
