import PQueue from "p-queue";
import { messageOf } from "../errors.ts";
import { fetchId, type Hint, type Outcome, type PrefetchHint, prefixId } from "../runtime/action.ts";
import type { EngineAdapter } from "../runtime/engine.ts";
import type { Event, RunId } from "../runtime/event.ts";
import { SideChannel } from "./side-channel.ts";

export interface HintQueueParts {
  readonly adapter: EngineAdapter;
  /** Request body to prefill for a prefetch; undefined when the prompt is not known. Called when it is sent. */
  readonly compose: (hint: PrefetchHint) => unknown;
  readonly onOutcome: (hint: Hint, outcome: Outcome) => void;
  /** False when another process prefetches the same body; asked right before it is sent. */
  readonly mayPrefetch?: (body: unknown) => Promise<boolean>;
  /** One line for the user. */
  readonly warn?: (message: string) => void;
}

/** After this many milliseconds a batch of hints is given up. */
const CONTROL_TIMEOUT_MS = 2_000;
/** Prefetches wait for an idle engine, so they get longer. */
const PREFETCH_TIMEOUT_MS = 20_000;
/** What an engine that does not say otherwise gets at once. */
const PREFETCHES_AT_ONCE = 16;
/** A prefetch under way gives way to one of the same prefix that is longer by this many tokens. */
const WORTH_REPLACING = 128;

/** A prefetch that was not answered yet. Most are withdrawn before they are sent, so waiting has to cost little. */
interface Fetch {
  readonly hint: PrefetchHint;
  /** When it was decided. */
  readonly at: number;
  /** Runs until its time has come. */
  timer: NodeJS.Timeout | undefined;
  /** Then, until there is a place: takes it out of the queue at once, since each holds on to its run's whole state. */
  waiting: AbortController | undefined;
  /** Set once it is at the engine. */
  sent: AbortController | undefined;
  isWithdrawn: boolean;
}

/**
 * Carries hints to an engine off the request path.
 *
 * Values and releases are coalesced per prefix (the last word counts) and go out together once per turn of the
 * event loop, so a slow or dead engine costs one pending hint a prefix. Prefetches go out by probability; a newer
 * one for the same prefix replaces the older.
 */
export class HintQueue {
  readonly #parts: HintQueueParts;
  readonly #prefetch: PQueue;
  readonly #channel: SideChannel;
  readonly #pending = new Map<string, Hint>();
  /** Hints that nobody but this queue knows of. */
  readonly #own = new WeakSet<Hint>();
  readonly #fetching = new Map<string, Fetch>();
  /** What is under way at the engine. */
  readonly #sent = new Set<AbortController>();
  #isClosed = false;
  #flushing = false;

  constructor(parts: HintQueueParts) {
    this.#parts = parts;
    this.#channel = new SideChannel(parts.adapter.baseURL, (message) => parts.warn?.(message));
    this.#prefetch = new PQueue({ concurrency: parts.adapter.prefetchesAtOnce ?? PREFETCHES_AT_ONCE });
  }

  /**
   * Takes hints over; returns at once and never throws.
   *
   * @param events what they were decided about: prefetches are withdrawn whose request has come, or whose run has ended.
   */
  push(actions: readonly Hint[], events: readonly Event[] = []): void {
    if (this.#isClosed) return;
    for (const event of events)
      if (event.type === "run-end") this.#end(event.run);
      else if (event.type === "request-start") this.#cancel(fetchId(event));
    for (const action of actions) {
      if (!(action.type in this.#parts.adapter.supports) && action.type !== "cancel") {
        this.#parts.onOutcome(action, { status: "ignored", reason: "the engine has no such verb" });
      } else if (action.type === "prefetch") {
        this.#enqueue(action);
      } else if (action.type === "cancel") {
        this.#cancel(fetchId(action.prefix));
        this.#parts.onOutcome(action, { status: "applied" });
      } else {
        this.#hold(action);
      }
    }
    this.#scheduleFlush();
  }

  /** Resolves when everything taken so far is answered or given up, but for prefetches whose time has not come. */
  async idle(): Promise<void> {
    while (this.#flushing || this.#pending.size > 0) await new Promise((resolve) => setImmediate(resolve));
    await this.#prefetch.onIdle();
  }

  /** Drops what waits, aborts what is under way. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const controller of this.#sent) controller.abort();
    for (const fetch of this.#fetching.values()) this.#withdraw(fetch);
    this.#fetching.clear();
    this.#pending.clear();
    await this.idle();
  }

  #scheduleFlush(): void {
    if (this.#flushing || this.#pending.size === 0) return;
    this.#flushing = true;
    setImmediate(() => void this.#flush());
  }

  async #flush(): Promise<void> {
    const hints = [...this.#pending.values()];
    this.#pending.clear();
    if (hints.length > 0) {
      const outcomes = await this.#apply(hints, CONTROL_TIMEOUT_MS);
      hints.forEach((hint, i) => this.#tell(hint, outcomes[i] ?? NO_ANSWER));
    }
    this.#flushing = false;
    this.#scheduleFlush();
  }

  /** Keeps the last word on a prefix until it is sent. */
  #hold(hint: Hint): void {
    const id = prefixId(hint.prefix);
    const earlier = this.#pending.get(id);
    if (earlier) this.#tell(earlier, { status: "ignored", reason: "a newer hint took its place" });
    this.#pending.set(id, hint);
  }

  #tell(hint: Hint, outcome: Outcome): void {
    if (!this.#own.has(hint)) this.#parts.onOutcome(hint, outcome);
  }

  #enqueue(hint: PrefetchHint): void {
    const id = fetchId(hint.prefix);
    const earlier = this.#fetching.get(id);
    // The same prompt is on its way already, but for a few tokens; what it is worth may have changed.
    if (earlier && !earlier.timer && earlier.hint.tokens + WORTH_REPLACING > hint.tokens) {
      const { prefix, value, later } = hint;
      const refresh: Hint = { type: "retain", prefix, value, ...(later && { later }) };
      this.#own.add(refresh);
      this.#hold(refresh);
      this.#parts.onOutcome(hint, { status: "ignored", reason: "already being fetched" });
      return;
    }
    if (earlier) this.#withdraw(earlier);
    const at = performance.now();
    const fetch: Fetch = {
      hint,
      at,
      timer: undefined,
      waiting: undefined,
      sent: undefined,
      isWithdrawn: false,
    };
    this.#fetching.set(id, fetch);
    const start = () => {
      fetch.timer = undefined;
      fetch.waiting = new AbortController();
      const priority = Math.round(hint.probability * 1000);
      const { signal } = fetch.waiting;
      // Rejects when it is withdrawn.
      this.#prefetch.add(() => this.#fetch(id, fetch), { priority, signal }).catch(() => {});
    };
    if (hint.afterMs === undefined) start();
    else fetch.timer = setTimeout(start, hint.afterMs).unref();
  }

  async #fetch(id: string, fetch: Fetch): Promise<void> {
    fetch.waiting = undefined;
    const outcome = await this.#fetchOutcome(fetch);
    if (this.#fetching.get(id) === fetch) this.#fetching.delete(id);
    this.#parts.onOutcome(fetch.hint, outcome);
  }

  async #fetchOutcome(fetch: Fetch): Promise<Outcome> {
    const { hint } = fetch;
    let body: unknown;
    try {
      body = this.#parts.compose(hint);
    } catch (error) {
      return { status: "failed", reason: `prompt could not be composed: ${messageOf(error)}` };
    }
    if (body === undefined) return { status: "ignored", reason: "the prompt is not known yet" };
    if (this.#parts.mayPrefetch) {
      const isOurs = await this.#parts.mayPrefetch(body).catch(() => true);
      if (fetch.isWithdrawn) return WITHDRAWN;
      if (!isOurs) return { status: "ignored", reason: "another process prefetches it" };
    }
    fetch.sent = new AbortController();
    return (
      (
        await this.#apply(
          [{ ...aged(hint, performance.now() - fetch.at), body }],
          PREFETCH_TIMEOUT_MS,
          fetch.sent,
        )
      )[0] ?? NO_ANSWER
    );
  }

  #end(run: RunId): void {
    for (const [id, { hint }] of this.#fetching) if (hint.prefix.run === run) this.#cancel(id);
  }

  #cancel(id: string): void {
    const fetch = this.#fetching.get(id);
    if (fetch) this.#withdraw(fetch);
    this.#fetching.delete(id);
  }

  #withdraw(fetch: Fetch): void {
    fetch.isWithdrawn = true;
    fetch.sent?.abort();
    if (!fetch.timer && !fetch.waiting) return;
    clearTimeout(fetch.timer);
    fetch.waiting?.abort();
    this.#parts.onOutcome(fetch.hint, WITHDRAWN);
  }

  /** An adapter promises never to reject and to heed the signal; one that breaks either promise costs nothing but its hints. */
  async #apply(
    hints: readonly Hint[],
    timeoutMs: number,
    controller = new AbortController(),
  ): Promise<readonly Outcome[]> {
    const abort = () => controller.abort();
    let isTooSlow = false;
    const timer = setTimeout(() => {
      isTooSlow = true;
      abort();
    }, timeoutMs).unref();
    this.#sent.add(controller);
    if (this.#isClosed) abort();
    const { signal } = controller;
    const gaveUp = new Promise<readonly Outcome[]>((resolve) => {
      // A prefetch may wait for an idle engine for as long; a word on a value is answered at once, or not at all.
      const giveUp = () => {
        const outcome = isTooSlow && timeoutMs === CONTROL_TIMEOUT_MS ? TOO_SLOW : GIVEN_UP;
        resolve(hints.map(() => outcome));
      };
      if (signal.aborted) giveUp();
      else signal.addEventListener("abort", giveUp, { once: true });
    });
    try {
      const answer: unknown = await Promise.race([this.#parts.adapter.apply(hints, signal), gaveUp]);
      const outcomes = Array.isArray(answer) ? (answer as readonly Outcome[]) : [];
      this.#channel.sent(hints, outcomes);
      return outcomes;
    } catch (error) {
      const outcomes = hints.map((): Outcome => ({ status: "failed", reason: messageOf(error) }));
      this.#channel.sent(hints, outcomes);
      return outcomes;
    } finally {
      clearTimeout(timer);
      this.#sent.delete(controller);
    }
  }
}

/** The hint as it would be decided so many milliseconds later. */
function aged(hint: PrefetchHint, waitedMs: number): PrefetchHint {
  if (!hint.later || hint.later.length === 0) return hint;
  let [before, value] = [0, hint.value];
  const later: (readonly [number, number])[] = [];
  for (const [afterMs, then] of hint.later) {
    if (afterMs > waitedMs) {
      if (later.length === 0) value += ((then - value) * (waitedMs - before)) / (afterMs - before);
      later.push([afterMs - waitedMs, then]);
    } else [before, value] = [afterMs, then];
  }
  return { ...hint, value, later };
}

const NO_ANSWER: Outcome = { status: "failed", reason: "the engine adapter gave no outcome" };
const GIVEN_UP: Outcome = { status: "cancelled", reason: "given up: withdrawn or too slow" };
const TOO_SLOW: Outcome = { status: "failed", reason: "given up: no answer in time" };
const WITHDRAWN: Outcome = { status: "cancelled", reason: "withdrawn before it was sent" };
