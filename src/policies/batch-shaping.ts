import { LRUCache } from "lru-cache";
import { z } from "zod";
import { RunningShare } from "../learn/running-share.ts";
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
/** A hold has to make the difference every second time: below, it is more often in vain than not. */
const WORTH_HOLDING = 0.5;
/** Observations that count. */
const REMEMBERED = 10;
/** Puts in order what other policies rank alike, and nothing else: their scores differ by more than this. */
const TIE_BREAK = 1e-6;

/**
 * Of runs that come to the same cold anchor at once, one computes it and the others follow.
 *
 * Without it, each of them prefills the same system message and tools, since none finds them in cache yet. They wait until
 * the first token of the one that goes, and never longer than the bound. Some engines share what is still being computed, as
 * the embedded one does; on others the followers do not find it afterwards either, for they get other slots. Neither needs
 * the wait. So calls are held only while those that waited find the anchor and those that went along do not. Where the server
 * says what it found, one call of the 1st, 2nd, 4th, 8th ... burst goes the other way, to see whether that is still so.
 *
 * Among calls that wait for whatever reason, and that other policies rank alike, those of one anchor that wait by then go one
 * after the other, so that a call waits for at most one such group of each other anchor.
 */
export default definePolicy({
  name: "batch-shaping",
  description:
    "Of calls that need the same cold anchor at once, one computes it and the others follow; calls that wait go anchor by anchor",
  subject: "request",
  actions: ["hold"],
  options,
  create: (context): Policy<"request"> => new BatchShaping(context),
});

/** How a call whose anchor was cold went: it computed it, beside that one, or after it. */
type Way = "first" | "along" | "after";

/** A cold anchor at work. */
interface Burst {
  /** The call that computes it. */
  readonly leader: string;
  /** The call that goes the other way than the rule has it; empty: none does; undefined: none yet. */
  trial: string | undefined;
}

interface UnderWay {
  readonly call: RequestSubject;
  /** Undefined: the anchor was warm. */
  readonly way: Way | undefined;
}

class BatchShaping implements Policy<"request"> {
  readonly weight = TIE_BREAK;
  readonly #options: Options;
  readonly #now: () => number;
  /** Anchors that are in cache, as far as is known. */
  readonly #warm: LRUCache<string, true>;
  /** By anchor. */
  readonly #bursts = new Map<string, Burst>();
  /** Since the server has first said what it found in cache; undefined before. */
  #burstCount: number | undefined;
  /** By call. */
  readonly #underWay = new Map<string, UnderWay>();
  /** Calls that wait for their anchor. */
  readonly #held = new Set<string>();
  /** Shares of calls that found their anchor. */
  readonly #found = { along: new RunningShare(REMEMBERED), after: new RunningShare(REMEMBERED, 1) };
  /** Calls of this anchor that had come by then go first. */
  #group: { readonly anchor: string; readonly since: number } | undefined;

  constructor({ options: chosen, clock }: PolicyContext<Options>) {
    this.#options = chosen;
    this.#now = () => clock.now();
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
    const known = this.#underWay.get(event.request);
    if (!known) return;
    if (event.type === "request-first-token") this.#arrived(known.call);
    else if (event.usage?.cachedTokens !== undefined) this.#learn(known, event.usage.cachedTokens);
  }

  /** In order: the group that goes, what is free to go, what would wait for its anchor. */
  score(call: RequestSubject): number {
    if (call.anchorTokens < this.#options.minTokens) return 0.5;
    if (this.#bursts.has(call.anchor) && this.#isWorthHolding) return 0;
    return this.#isGroup(call) ? 1 : 0.5;
  }

  act(
    ranked: readonly Scored<"request">[],
    _predictions: readonly Prediction[],
    { now }: GateMoment,
  ): readonly Action[] {
    const { maxHoldMs, minTokens } = this.#options;
    const ahead = new Set<string>();
    return ranked.flatMap(({ item: call }): Action | readonly Action[] => {
      const leftMs = call.at + maxHoldMs - now;
      if (call.anchorTokens < minTokens || leftMs <= 0 || this.#warm.has(call.anchor)) return [];
      const burst = this.#bursts.get(call.anchor);
      const waits = burst ? this.#isBehind(call, burst) : ahead.has(call.anchor) && this.#isWorthHolding;
      ahead.add(call.anchor);
      if (!waits) return [];
      this.#held.add(call.id);
      return { type: "hold", call, forMs: leftMs, reason: "another call computes its anchor" };
    });
  }

  decided(call: RequestSubject, { type }: Verdict): void {
    const wasHeld = this.#held.delete(call.id);
    const { id, anchor, anchorTokens } = call;
    if ((type !== "admit" && type !== "route") || anchorTokens < this.#options.minTokens) return;
    if (!this.#isGroup(call)) this.#group = { anchor, since: this.#now() };
    if (this.#warm.get(anchor)) {
      this.#underWay.set(id, { call, way: wasHeld ? "after" : undefined });
    } else if (this.#bursts.has(anchor)) {
      this.#underWay.set(id, { call, way: "along" });
    } else {
      this.#underWay.set(id, { call, way: "first" });
      this.#bursts.set(anchor, { leader: id, trial: undefined });
    }
  }

  ended({ id, anchor }: RequestSubject, { status }: CallResult): void {
    this.#held.delete(id);
    if (!this.#underWay.delete(id) || this.#bursts.get(anchor)?.leader !== id) return;
    if (status === "completed") this.#warm.set(anchor, true);
    // The next one that needs it computes it.
    this.#bursts.delete(anchor);
  }

  get #isWorthHolding(): boolean {
    const { along, after } = this.#found;
    return after.value - along.value >= WORTH_HOLDING;
  }

  #isGroup({ anchor, at }: RequestSubject): boolean {
    return this.#group?.anchor === anchor && at <= this.#group.since;
  }

  #isBehind({ id }: RequestSubject, burst: Burst): boolean {
    if (burst.trial === undefined && this.#burstCount !== undefined)
      burst.trial = isPowerOfTwo(++this.#burstCount) ? id : "";
    return this.#isWorthHolding !== (burst.trial === id);
  }

  #learn({ call: { anchor, anchorTokens }, way }: UnderWay, cachedTokens: number): void {
    this.#burstCount ??= 0;
    if (way === "first") return;
    const isFound = cachedTokens >= FOUND * anchorTokens;
    if (way) this.#found[way].add(isFound ? 1 : 0);
    if (!isFound && way !== "along") this.#warm.delete(anchor);
  }

  /** Anchors taken to be cached hold for one engine's life and for seconds only: nothing is worth keeping. */
  #arrived({ id, anchor }: RequestSubject): void {
    this.#warm.set(anchor, true);
    if (this.#bursts.get(anchor)?.leader === id) this.#bursts.delete(anchor);
  }
}

function isPowerOfTwo(count: number): boolean {
  return Number.isInteger(Math.log2(count));
}
