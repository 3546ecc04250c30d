import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { EngineError } from "../errors.ts";
import type { HintType } from "../runtime/action.ts";
import type { Ability, EngineAdapter, EngineDefinition, EngineInfo } from "../runtime/engine.ts";
import type { EngineHttp } from "../wire/engine-http.ts";
import { tryEvents } from "./events.ts";
import type { Finding, PrefixTimes } from "./finding.ts";
import { tryMetrics, tryServed } from "./metrics.ts";
import { type Prompt, type Trial, TrialRequests } from "./trial-requests.ts";
import { tryVerb } from "./verbs.ts";

/** All that was found out about a server. */
export interface Diagnosis {
  readonly engine: EngineInfo;
  readonly url: string;
  readonly seen: string | null;
  readonly prefix: PrefixTimes | null;
  readonly findings: readonly Finding[];
}

export interface Patient {
  readonly definition: EngineDefinition;
  readonly adapter: EngineAdapter;
  readonly http: EngineHttp;
  /** Model to ask; default: the first that the server lists. */
  readonly model: string | undefined;
  readonly signal: AbortSignal;
}

const verbs: readonly HintType[] = ["retain", "release", "prefetch", "pin", "evict", "cancel"];

const models = z.object({ data: z.array(z.object({ id: z.string() })) });

/** A field that no server knows. */
const UNKNOWN_FIELD = { cachesage_trial: 1 };

/**
 * Finds out what a server is and does with hints, by harmless requests for one token with prompts of its own. Throws
 * EngineError when it cannot be reached or is another engine.
 */
export async function examine(patient: Patient): Promise<Diagnosis> {
  const { definition, adapter, http, signal } = patient;
  const told = await adapter.connect(signal);
  // An adapter that was given no key asks nothing and takes any address at its word.
  const isAsked = definition.isBilled !== true || told.models.length > 0;
  const engine = isAsked ? told : { ...told, models: await modelsAt(http, told.engine, signal) };
  const base = { engine, url: adapter.baseURL, seen: definition.seen ?? null };
  const model = patient.model ?? engine.models[0];
  if (definition.isBilled === true || model === undefined) {
    const why = definition.isBilled === true ? "requests cost money here" : "the server lists no model";
    const findings = verbs.map((what) => declared(what, patient, why));
    return { ...base, prefix: null, findings };
  }
  const requests = new TrialRequests(http, model, signal);
  const prompt = requests.prompt();
  const cold = await requests.ask(prompt);
  const warm = await askAgain(requests, prompt, signal);
  const refusal = cold.refusal ?? warm.refusal;
  if (refusal !== undefined)
    throw new EngineError(
      "ENGINE_RESPONSE",
      engine.engine,
      `a plain prompt of some 600 tokens for ${model} is refused: ${refusal.replace(/^\[.+?\] /, "")}`,
      { hint: "Nothing can be tried without one. Another model is asked with --model." },
    );
  const prefix: PrefixTimes = {
    promptTokens: warm.promptTokens,
    coldMs: cold.ms,
    warmMs: warm.ms,
    coldCachedTokens: cold.cachedTokens,
    warmCachedTokens: warm.cachedTokens,
  };
  const findings: Finding[] = [cachedTokens(prefix, definition)];
  findings.push(await tryMetrics(http, definition, signal));
  findings.push(await strictness(requests));
  findings.push(await decoration(patient, requests));
  findings.push(
    definition.priorityFields
      ? await priority(definition, requests)
      : declared("priority", patient, "its answers do not show whether it counts"),
  );
  findings.push(await tryEvents(patient, requests));
  for (const verb of verbs) findings.push(await tryVerb(verb, { ...patient, requests }));
  findings.push(await tryServed(adapter, requests.totals.get()));
  return { ...base, prefix, findings };
}

/** Asks for a prompt that was asked before, and once more after each of these milliseconds while nothing of it was cached. */
const AGAIN_AFTER_MS = [100, 400, 1600];

/** A router in front of several replicas learns which of them has a prompt by events that come after the answer. */
async function askAgain(requests: TrialRequests, prompt: Prompt, signal: AbortSignal): Promise<Trial> {
  let warm = await requests.ask(prompt);
  for (const ms of AGAIN_AFTER_MS) {
    if (warm.cachedTokens !== 0) break;
    // Of a signal that fires the next request tells.
    await delay(ms, undefined, { signal }).catch(() => {});
    warm = await requests.ask(prompt);
  }
  return warm;
}

async function modelsAt(http: EngineHttp, engine: string, signal: AbortSignal): Promise<readonly string[]> {
  const listed = models.safeParse(await http.probe("/v1/models", signal));
  if (listed.success) return listed.data.data.map(({ id }) => id);
  throw new EngineError("ENGINE_RESPONSE", engine, `${http.root} answered in a shape that it should not`, {
    hint: "Name the engine that runs there, or check the url.",
    cause: listed.error,
  });
}

function cachedTokens(
  { warmCachedTokens, promptTokens }: PrefixTimes,
  { remedies }: EngineDefinition,
): Finding {
  const what = "cached tokens";
  const add = remedies?.[what];
  if (promptTokens === null)
    return { what, verdict: "absent", detail: "The server's answers do not say how long a prompt was." };
  if (warmCachedTokens === null)
    return {
      what,
      verdict: add === undefined ? "absent" : "needs flag",
      detail: "A repeated prompt's usage does not say how much of it was cached.",
      ...(add !== undefined && { add }),
    };
  if (warmCachedTokens === 0)
    return { what, verdict: "ignored", detail: "They are reported, but a repeated prompt hit nothing." };
  return {
    what,
    verdict: "works",
    detail: `${warmCachedTokens} of ${promptTokens} tokens of a repeated prompt.`,
  };
}

async function strictness(requests: TrialRequests): Promise<Finding> {
  const { refusal } = await requests.ask(requests.prompt(), UNKNOWN_FIELD);
  const what = "unknown fields";
  if (refusal !== undefined)
    return { what, verdict: "rejected", detail: "The server is strict: it refuses what it does not know." };
  return {
    what,
    verdict: "ignored",
    detail: "The server is lenient: a hint that it does not know is ignored without a word.",
  };
}

/** Whether the server takes what the adapter adds to the app's own requests. */
async function decoration({ adapter }: Patient, requests: TrialRequests): Promise<Finding> {
  const what = "request hints";
  const identity = { agent: "doctor", run: "doctor", namespace: "" };
  const added = adapter.decorate?.({ url: `${adapter.baseURL}/chat/completions`, identity }, []);
  const names = [...Object.keys(added?.fields ?? {}), ...Object.keys(added?.headers ?? {})];
  if (names.length === 0) return { what, verdict: "absent", detail: "Nothing is added to requests." };
  const { refusal } = await requests.ask(requests.prompt(), added?.fields, added?.headers);
  if (refusal === undefined) return { what, verdict: "works", detail: `Taken with ${names.join(", ")}.` };
  return { what, verdict: "rejected", detail: refusal };
}

async function priority({ priorityFields, remedies }: EngineDefinition, requests: TrialRequests) {
  const { refusal } = await requests.ask(requests.prompt(), priorityFields);
  const add = remedies?.priority;
  const finding: Finding =
    refusal === undefined
      ? { what: "priority", verdict: "works", detail: "A request with a priority is taken." }
      : {
          what: "priority",
          verdict: add === undefined ? "rejected" : "needs flag",
          detail: refusal,
          ...(add !== undefined && { add }),
        };
  return finding;
}

/** What an adapter says of itself, where nothing is tried. */
function declared(
  what: Ability,
  { adapter, definition }: Pick<Patient, "adapter" | "definition">,
  why: string,
): Finding {
  const support = adapter.supports[what];
  if (support !== undefined) return { what, verdict: "not tried", detail: `${support}; ${why}.` };
  const add = definition.remedies?.[what];
  if (add === undefined) return { what, verdict: "absent", detail: "The engine has no such verb." };
  return { what, verdict: "needs flag", detail: "Off as things are.", add };
}
