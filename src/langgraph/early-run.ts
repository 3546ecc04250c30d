import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Outcome } from "../runtime/action.ts";
import type { Event } from "../runtime/event.ts";
import { outsideOfCalls } from "./config.ts";
import { copyOf } from "./copy-of.ts";
import { earlyConfig } from "./early-config.ts";
import type { Early } from "./early.ts";
import { HeldBack } from "./held-back.ts";
import {
  heldManager,
  isHoldable,
  startedCall,
  startsNestedNode,
  Telling,
  type HeldCallback,
  type ManagerLike,
} from "./held-callbacks.ts";
import type { Host } from "./host.ts";
import type { ConfigLike, NodeLike } from "./shapes.ts";
import type { NodeSpan, Span } from "./span.ts";
import { isObject } from "./shapes.ts";
import type { Tracker } from "./tracker.ts";

/** What has to be known to run a node early. */
export interface EarlyStart {
  readonly name: string;
  /** The node's own body, which does what the node does. */
  readonly body: { invoke(input: unknown, config: unknown): unknown };
  readonly node: NodeLike;
  /** The declaration, the input and the config of the node before it. */
  readonly before: NodeLike;
  readonly input: unknown;
  readonly config: ConfigLike & { readonly callbacks: ManagerLike };
  /** The span that the node would have, as far as anyone knows. */
  readonly span: (early: Early) => NodeSpan;
  /** Tokens that it is expected to cost. */
  readonly tokens: number;
}

/** Thrown into a node that asks for what only its own turn in the graph can give it. */
class RefusedError extends Error {
  override readonly name = "EarlyRunRefused";
}

/**
 * One node that runs before it is known to be wanted, and before its own turn.
 *
 * Nothing of it is seen until then: callbacks, streamed values and events are kept back and told in order when the graph gets
 * there, from then on at once. It writes nothing: LangGraph itself writes what it returns. It never rejects into the app.
 */
export class EarlyRun implements Early {
  readonly body: object;
  readonly #host: Host;
  readonly #tracker: Tracker;
  readonly #start: EarlyStart;
  readonly #input: unknown;
  readonly #abort = new AbortController();
  readonly #held = new HeldBack();
  readonly #settle: (outcome: Outcome) => void;
  #manager: ManagerLike | undefined;
  #telling: Telling | undefined;
  #result: Promise<unknown> | undefined;
  #refusal: string | undefined;
  #state: "running" | "wanted" | "over" = "running";
  #tokens = 0;
  #callsUnderWay = 0;

  /** @param settle told once what became of it. */
  constructor(host: Host, tracker: Tracker, start: EarlyStart, settle: (outcome: Outcome) => void) {
    this.body = start.body;
    this.#host = host;
    this.#tracker = tracker;
    this.#start = start;
    // Whatever the node before it does to its own input must not be seen here, nor the other way round.
    this.#input = copyOf(start.input);
    this.#settle = settle;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  hostOf(isSeen: boolean): Pick<Host, "clock" | "emit"> {
    const { clock } = this.#host;
    const emit = (event: Event) => {
      this.#count(event);
      if (!isSeen) this.whenWanted(() => this.#host.emit({ ...event, at: clock.now() }));
    };
    return { clock, emit };
  }

  whenWanted(act: () => unknown): void {
    void this.#held.add(act);
  }

  /** Begins, unless it was dropped before. */
  begin(): void {
    if (this.#state !== "running") return;
    const { span, body } = this.#start;
    const run = async (): Promise<unknown> => body.invoke(this.#input, this.#config());
    const scope = { span: span(this) };
    this.#result = outsideOfCalls(() => this.#tracker.scopes.run(scope, run));
    this.#result.then(
      () => this.#finished(),
      (error: unknown) => this.#failed(error),
    );
  }

  /** Whether it is still there, and was started with exactly this. */
  fits(input: unknown): boolean {
    return this.#state === "running" && this.#result !== undefined && isDeepStrictEqual(input, this.#input);
  }

  /**
   * The node's turn has come: tells what was kept back, and returns what it returns.
   *
   * @param again runs the node as if it had not run early.
   */
  async take(span: Span, config: ConfigLike, again: () => unknown): Promise<unknown> {
    this.#state = "wanted";
    this.#settle({ status: "applied", reason: "the graph went there, with what it was started with" });
    const stop = this.#abortWith(config.signal);
    try {
      if (isHoldable(config.callbacks) && this.#manager)
        this.#telling = new Telling(config.callbacks, this.#manager, config.executionInfo);
      await this.#tracker.scopes.run({ span }, () => this.#held.release());
      const output = await this.#result;
      await this.#held.idle();
      if (this.#refusal === undefined) return output;
    } catch (error) {
      await this.#held.idle();
      if (this.#refusal === undefined) throw error;
    } finally {
      stop();
    }
    return again();
  }

  /** Nobody wants it. */
  drop(outcome: Outcome): void {
    if (this.#state !== "running") return;
    this.#state = "over";
    const tokens = this.#callsUnderWay > 0 ? Math.max(this.#tokens, this.#start.tokens) : this.#tokens;
    this.#abort.abort(new RefusedError(outcome.reason));
    this.#settle({ ...outcome, tokens });
  }

  /** What it was refused it may have caught. */
  #finished(): void {
    if (this.#refusal !== undefined) this.drop({ status: "ignored", reason: this.#refusal });
  }

  #failed(error: unknown): void {
    this.#finished();
    const message = isObject(error) ? String(error["message"]) : String(error);
    this.drop({ status: "failed", reason: `it failed: ${message}` });
  }

  #config(): ConfigLike {
    const { name, config, before, node } = this.#start;
    const standIn = randomUUID();
    return earlyConfig({
      name,
      config,
      before,
      node,
      input: this.#input,
      signal: this.signal,
      standIn,
      manager: (metadata) => {
        const take = (callback: HeldCallback) => this.#callback(callback);
        return (this.#manager = heldManager(config.callbacks, standIn, metadata, take));
      },
      refuse: (what) => {
        throw new RefusedError(this.#refuse(what));
      },
      later: (act) => this.whenWanted(act),
    });
  }

  #callback(callback: HeldCallback): unknown {
    if (startsNestedNode(callback)) this.#refuse("runs a graph");
    const call = startedCall(callback);
    const { scopes } = this.#tracker;
    const scope = scopes.getStore();
    // The call is made in this async context: `fetch` learns that callbacks tell of it.
    if (call !== undefined && scope) scopes.enterWith({ span: scope.span, seenAs: call });
    return this.#held.add(() => this.#telling?.tell(callback));
  }

  #refuse(what: string): string {
    this.#refusal ??= `it cannot run early: it ${what}`;
    this.drop({ status: "ignored", reason: this.#refusal });
    return this.#refusal;
  }

  #count(event: Event): void {
    if (event.type === "request-start") this.#callsUnderWay++;
    if (event.type !== "request-end") return;
    const { agent, run, request: id, status, usage } = event;
    this.#host.gate?.leave({ kind: "request", id, agent, run }, { status });
    if (status !== "completed" && status !== "failed") return;
    this.#callsUnderWay--;
    this.#tokens += (usage?.promptTokens ?? 0) + (usage?.outputTokens ?? 0);
  }

  /** From now on it ends with the node's own signal. */
  #abortWith(signal: unknown): () => void {
    if (!(signal instanceof AbortSignal)) return () => {};
    const abort = () => this.#abort.abort(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    return () => signal.removeEventListener("abort", abort);
  }
}
