import type { CallSubject } from "../runtime/call.ts";
import type { Event, RequestEndEvent, RunId, SessionId } from "../runtime/event.ts";
import type { Verdict } from "../runtime/action.ts";
import { digest } from "./digest.ts";

export type Kind = "modelCalls" | "toolCalls" | "tokens" | "cost";
export type Spent = Record<Kind, number>;

/** What nobody sees the end of leaves oldest first, beyond so many. */
const MAX_REMEMBERED = 10_000;

/**
 * What each run has spent. A run that goes on where one of its session was interrupted goes on with what that one had spent.
 * A call that is made twice counts twice.
 */
export class Spending {
  readonly #prices: { readonly prompt: number; readonly output: number };
  readonly #spent = new Map<RunId, Spent>();
  /** Prompt tokens, estimated, of each run's calls under way, by call. */
  readonly #underWay = new Map<RunId, Map<string, number>>();
  readonly #sessions = new Map<RunId, SessionId>();
  /** Of interrupted runs, by hash of their session. */
  readonly #paused = new Map<string, Spent>();
  /** Calls that are made twice, and whether their answers stream. */
  readonly #repeated = new Map<string, boolean>();

  /** @param prices of a million tokens. */
  constructor(prices: { readonly prompt: number; readonly output: number }) {
    this.#prices = prices;
  }

  /** What a run has spent, with the prompts of its calls under way as they are estimated. */
  of(run: RunId): Readonly<Spent> | undefined {
    const spent = this.#spent.get(run);
    const underWay = this.#underWay.get(run);
    if (!spent || !underWay) return spent;
    let tokens = 0;
    for (const prompt of underWay.values()) tokens += prompt;
    const cost = spent.cost + (tokens * this.#prices.prompt) / 1e6;
    return { ...spent, tokens: spent.tokens + tokens, cost };
  }

  observe(event: Event): void {
    if (event.type === "run-start" && event.session !== undefined) this.#begin(event.run, event.session);
    else if (event.type === "run-end") this.#end(event.run, event.status === "interrupted");
    else if (event.type === "request-end") this.#pay(event);
  }

  /** Counts a call that goes on. */
  decided(call: CallSubject, { type }: Verdict): void {
    if (call.kind === "late-request") {
      // Without a second server it is under way as it is, and counted.
      if (type !== "route") return;
      this.#spentBy(call.run).modelCalls++;
      remember(this.#repeated, call.id, call.streams === true);
    } else if (call.kind === "request") {
      if (type !== "admit" && type !== "route") return;
      this.#spentBy(call.run).modelCalls++;
      const underWay = this.#underWay.get(call.run) ?? new Map<string, number>();
      remember(this.#underWay, call.run, underWay.set(call.id, call.tokens));
    } else if (call.kind === "tool-call" && type === "admit") this.#spentBy(call.run).toolCalls++;
  }

  /** A call is no longer under way; what it has cost is told by its event, if it has one. */
  ended({ run, id }: Pick<CallSubject, "run" | "id">): void {
    const underWay = this.#underWay.get(run);
    if (underWay?.delete(id) && underWay.size === 0) this.#underWay.delete(run);
  }

  /** What sessions may go on with, by their hash: what was interrupted, and what is open. */
  snapshot(): readonly (readonly [session: string, spent: Spent])[] {
    const all = new Map(this.#paused);
    for (const [run, session] of this.#sessions) {
      const own = this.#spent.get(run);
      if (own) all.set(digest(session), own);
    }
    return [...all];
  }

  restore(spent: readonly (readonly [session: string, spent: Spent])[]): void {
    for (const [session, own] of spent) remember(this.#paused, session, own);
  }

  /** What the engine reports, and once more what a second server did of the same call, at most. */
  #pay({ request, run, usage }: RequestEndEvent): void {
    const streams = this.#repeated.get(request);
    this.#repeated.delete(request);
    this.ended({ run, id: request });
    if (!usage) return;
    const isTwice = streams !== undefined;
    const prompt = (usage.promptTokens ?? 0) * (isTwice ? 2 : 1);
    // Of two streams the slower one is stopped before its first token.
    const output = (usage.outputTokens ?? 0) * (isTwice && !streams ? 2 : 1);
    const spent = this.#spentBy(run);
    spent.tokens += prompt + output;
    spent.cost += (prompt * this.#prices.prompt + output * this.#prices.output) / 1e6;
  }

  #begin(run: RunId, session: SessionId): void {
    remember(this.#sessions, run, session);
    if (this.#paused.size === 0) return;
    const key = digest(session);
    const spent = this.#paused.get(key);
    if (!spent) return;
    this.#paused.delete(key);
    remember(this.#spent, run, spent);
  }

  #end(run: RunId, isInterrupted: boolean): void {
    const [spent, session] = [this.#spent.get(run), this.#sessions.get(run)];
    this.#spent.delete(run);
    this.#underWay.delete(run);
    this.#sessions.delete(run);
    if (isInterrupted && spent && session !== undefined) remember(this.#paused, digest(session), spent);
  }

  #spentBy(run: RunId): Spent {
    const known = this.#spent.get(run);
    if (known) return known;
    const spent = { modelCalls: 0, toolCalls: 0, tokens: 0, cost: 0 };
    remember(this.#spent, run, spent);
    return spent;
  }
}

function remember<T>(all: Map<string, T>, key: string, value: T): void {
  const oldest = all.keys().next().value;
  if (all.size >= MAX_REMEMBERED && oldest !== undefined) all.delete(oldest);
  all.set(key, value);
}
