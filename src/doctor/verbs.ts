import type { HintType, Hint, Outcome } from "../runtime/action.ts";
import type { EngineAdapter, EngineDefinition, Support } from "../runtime/engine.ts";
import type { Finding, Verdict } from "./finding.ts";
import type { Prompt, TrialRequests } from "./trial-requests.ts";

interface Trials {
  readonly definition: EngineDefinition;
  readonly adapter: EngineAdapter;
  readonly requests: TrialRequests;
  readonly signal: AbortSignal;
}

const run = "doctor";

/** Tries one verb on a prompt of its own, and asks for the prompt afterwards where that shows what it did. */
export async function tryVerb(verb: HintType, trials: Trials): Promise<Finding> {
  const { adapter, definition } = trials;
  const support = adapter.supports[verb];
  if (support === undefined) {
    const add = definition.remedies?.[verb];
    if (add === undefined) return { what: verb, verdict: "absent", detail: "The engine has no such verb." };
    return { what: verb, verdict: "needs flag", detail: "Off as things are.", add };
  }
  if (verb === "prefetch") return tryPrefetch(support, trials);
  if (verb === "cancel") return tryCancel(support, trials);
  return tryWord(verb, support, trials);
}

async function tryPrefetch(support: Support, trials: Trials): Promise<Finding> {
  const prompt = trials.requests.prompt();
  const outcome = await fetched(prompt, "prefetch", trials);
  if (outcome.status !== "applied") return toldBy("prefetch", support, outcome);
  const { cachedTokens, promptTokens, ms } = await ask(prompt, "prefetch", trials);
  if (cachedTokens === null)
    return {
      what: "prefetch",
      verdict: "not tried",
      detail: `${support}; sent, but the server does not tell cached tokens.`,
    };
  const isWarm = cachedTokens > (promptTokens ?? 0) / 2;
  return {
    what: "prefetch",
    verdict: isWarm ? "works" : "ignored",
    detail: `${support}; afterwards ${cachedTokens} of ${promptTokens} tokens were cached.`,
    after: { promptTokens, cachedTokens, ms },
  };
}

async function tryCancel(support: Support, trials: Trials): Promise<Finding> {
  const controller = new AbortController();
  const hint = prefetchOf(trials.requests.prompt(), "cancel");
  const pending = trials.adapter.apply([hint], controller.signal);
  controller.abort();
  const [outcome] = await pending;
  const isCancelled = outcome?.status === "cancelled";
  return {
    what: "cancel",
    verdict: isCancelled ? "works" : "ignored",
    detail: `${support}; a prefetch that was withdrawn at once ended as ${outcome?.status ?? "nothing"}.`,
  };
}

/** Retain, release, pin and evict: said of a prompt that is cached. */
async function tryWord(
  verb: Exclude<HintType, "prefetch" | "cancel">,
  support: Support,
  trials: Trials,
): Promise<Finding> {
  const prompt = trials.requests.prompt();
  const prepared = "prefetch" in trials.adapter.supports ? await fetched(prompt, verb, trials) : undefined;
  if (prepared === undefined) await ask(prompt, verb, trials);
  const prefix = { agent: agentOf(verb), run };
  const hint: Hint = verb === "retain" ? { type: verb, prefix, value: 0.9 } : { type: verb, prefix };
  const [outcome = { status: "failed" }] = await trials.adapter.apply([hint], trials.signal);
  const finding = toldBy(verb, support, outcome);
  if (verb !== "evict" || outcome.status !== "applied") return finding;
  const { cachedTokens, promptTokens, ms } = await ask(prompt, verb, trials);
  if (cachedTokens === null) return finding;
  return {
    what: verb,
    verdict: cachedTokens < (promptTokens ?? 0) / 2 ? "works" : "ignored",
    detail: `${support}; afterwards ${cachedTokens} of ${promptTokens} tokens were still cached.`,
    after: { promptTokens, cachedTokens, ms },
  };
}

async function fetched(prompt: Prompt, verb: HintType, { adapter, signal }: Trials): Promise<Outcome> {
  const [outcome] = await adapter.apply([prefetchOf(prompt, verb)], signal);
  return outcome ?? { status: "failed" };
}

function ask(prompt: Prompt, verb: HintType, { adapter, requests }: Trials) {
  const identity = { agent: agentOf(verb), run, namespace: "" };
  const added = adapter.decorate?.({ url: `${adapter.baseURL}/chat/completions`, identity }, []);
  return requests.ask(prompt, added?.fields, added?.headers);
}

function prefetchOf(body: Prompt, verb: HintType): Hint {
  return {
    type: "prefetch",
    prefix: { agent: agentOf(verb), run },
    value: 0.9,
    probability: 0.9,
    tokens: 600,
    body,
  };
}

function agentOf(verb: HintType): string {
  return `doctor-${verb}`;
}

const verdicts: Readonly<Record<Outcome["status"], Verdict>> = {
  applied: "works",
  ignored: "ignored",
  rejected: "rejected",
  failed: "rejected",
  cancelled: "not tried",
};

function toldBy(what: HintType, support: Support, { status, reason }: Outcome): Finding {
  const said = reason === undefined ? status : `${status}: ${reason}`;
  return { what, verdict: verdicts[status], detail: `${support}; ${said.replace(/\.$/, "")}.` };
}
