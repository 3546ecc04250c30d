import { z } from "zod";
import { EngineError, problemOf } from "../errors.ts";
import { type HintType, type Hint, type Outcome, prefixId } from "../runtime/action.ts";
import type { Ability, EngineAdapter, EngineInfo, Support } from "../runtime/engine.ts";
import { combineSignals } from "./combined-signal.ts";
import type { EngineHttp } from "./engine-http.ts";
import { readMetrics } from "./prometheus.ts";
import type { ServedTotals } from "./served-totals.ts";

/** Carries out one hint. What it throws becomes the outcome `failed`. */
export type Verb = (hint: Hint, signal: AbortSignal | undefined) => Promise<Outcome> | Outcome;

export interface HttpAdapterParts extends Pick<
  EngineAdapter,
  "prefetchesAtOnce" | "decorate" | "observe" | "answered" | "tokenize" | "status" | "events" | "readsEvents"
> {
  readonly name: string;
  readonly http: EngineHttp;
  readonly apiKey?: string | undefined;
  probe(signal: AbortSignal | undefined): Promise<EngineInfo>;
  /** Read whenever it is asked for: what a server can do is known after the probe. */
  supports(): Readonly<Partial<Record<Ability, Support>>>;
  /**
   * Verbs that go to the engine. One that is supported and missing here travels with the request alone; no engine takes a
   * word for `cancel`, which is a closed connection.
   */
  readonly verbs: Readonly<Partial<Record<Exclude<HintType, "cancel">, Verb>>>;
  /** Where the engine counts prompts at `/metrics`. */
  readonly served?: ServedTotals;
}

/** A connection waits that many milliseconds for a page of counters, which it can do without. */
export const COUNTERS_TIMEOUT_MS = 1000;
const CLOSED: Outcome = { status: "cancelled", reason: "the adapter is closed" };
const WITHDRAWN: Outcome = { status: "cancelled", reason: "withdrawn by the caller" };
const CANCEL: Outcome = { status: "ignored", reason: "aborting a prefetch is what withdraws it" };

/**
 * An adapter of an engine behind HTTP, as far as they are all alike: hints never reject, prefetches wait for the words
 * before them, closing aborts what is under way.
 */
export function createHttpAdapter(parts: HttpAdapterParts): EngineAdapter {
  const { name, http, apiKey, verbs, served } = parts;
  const closing = new AbortController();

  const outcomeOf = async (hint: Hint, signal: AbortSignal | undefined): Promise<Outcome> => {
    if (closing.signal.aborted) return CLOSED;
    if (signal?.aborted) return WITHDRAWN;
    if (!(hint.type in parts.supports()))
      return { status: "ignored", reason: `${name} has no verb ${hint.type}` };
    if (hint.type === "cancel") return CANCEL;
    const verb = verbs[hint.type];
    if (!verb) return { status: "applied", reason: "it travels with the next request" };
    const combined = combineSignals(signal, closing.signal);
    try {
      return await verb(hint, combined.signal);
    } catch (error) {
      if (closing.signal.aborted) return CLOSED;
      if (signal?.aborted) return WITHDRAWN;
      return { status: "failed", reason: sentenceOf(error) };
    } finally {
      combined.release();
    }
  };

  const begin = async (totals: ServedTotals, signal: AbortSignal | undefined): Promise<void> => {
    const request = { signal, withinMs: COUNTERS_TIMEOUT_MS };
    const page = await http.text("/metrics", request).catch(() => undefined);
    if (page !== undefined) totals.begin(readMetrics(page));
  };

  return {
    specificationVersion: "v1",
    name,
    get supports() {
      return parts.supports();
    },
    baseURL: http.baseURL,
    ...(apiKey !== undefined && { apiKey }),
    ...(parts.prefetchesAtOnce !== undefined && { prefetchesAtOnce: parts.prefetchesAtOnce }),
    get warmUps() {
      return served?.warmUps;
    },
    async connect(signal) {
      const info = await parts.probe(signal).catch((error: unknown) => {
        if (!(error instanceof z.ZodError)) throw error;
        throw new EngineError("ENGINE_RESPONSE", name, `${http.root} ${sentenceOf(error)}`, {
          hint: "Name the engine that runs there, or check the url.",
          cause: error,
        });
      });
      if (served) await begin(served, signal);
      return info;
    },
    ...(parts.decorate && { decorate: parts.decorate }),
    ...(parts.observe && { observe: parts.observe }),
    ...(parts.answered && { answered: parts.answered }),
    ...(parts.tokenize && { tokenize: parts.tokenize }),
    ...(parts.status && { status: parts.status }),
    ...(parts.readsEvents && { readsEvents: true }),
    ...(parts.events && { events: parts.events }),
    async apply(hints, signal) {
      const outcomes = new Map<Hint, Outcome>();
      for (const hint of hints)
        if (hint.type !== "prefetch") outcomes.set(hint, await outcomeOf(hint, signal));
      await Promise.all(
        hints
          .filter(({ type }) => type === "prefetch")
          .map(async (hint) => outcomes.set(hint, await outcomeOf(hint, signal))),
      );
      return hints.map(
        (hint) => outcomes.get(hint) ?? { status: "failed", reason: `${prefixId(hint.prefix)} was not sent` },
      );
    },
    async close() {
      closing.abort();
    },
  };
}

function sentenceOf(error: unknown): string {
  if (error instanceof z.ZodError) return "answered in a shape that it should not";
  // What to do about it is for who asked to connect.
  return problemOf(error);
}
