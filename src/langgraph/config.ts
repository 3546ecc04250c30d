import { randomUUID } from "node:crypto";
import type { RunId, SessionId } from "../runtime/event.ts";
import type { Run, RunContext } from "./run.ts";
import { isObject, text, type ConfigLike } from "./shapes.ts";

const LANGCHAIN_STORAGE = Symbol.for("ls:tracing_async_local_storage");
const CHILD_CONFIG = Symbol.for("lc:child_config");

/**
 * The config of the LangChain call that is running, from LangChain's own AsyncLocalStorage; found by its global
 * symbol, so that no copy of @langchain/core has to be loaded. Streaming calls run without one.
 */
export function ambientConfig(): ConfigLike | undefined {
  const storage: unknown = (globalThis as Record<symbol, unknown>)[LANGCHAIN_STORAGE];
  if (!isObject(storage) || typeof storage["getStore"] !== "function") return undefined;
  const store: unknown = (storage as { getStore(): unknown }).getStore();
  const extra = isObject(store) ? store["extra"] : undefined;
  const config: unknown = isObject(extra) ? (extra as Record<symbol, unknown>)[CHILD_CONFIG] : undefined;
  return isObject(config) ? config : undefined;
}

/** Does it as if no LangChain call were running around it, whose config would be inherited. */
export function outsideOfCalls<T>(act: () => T): T {
  const storage: unknown = (globalThis as Record<symbol, unknown>)[LANGCHAIN_STORAGE];
  if (!isObject(storage) || typeof storage["run"] !== "function") return act();
  return (storage as { run<R>(store: undefined, act: () => R): R }).run(undefined, act);
}

/** The second argument of a node function, when it is a config. */
export function configOf(value: unknown): ConfigLike | undefined {
  return isObject(value) && ("configurable" in value || "metadata" in value) ? value : undefined;
}

/** Id of the span that a config's callbacks report to. */
export function parentIdOf(config: ConfigLike | undefined): string | undefined {
  const callbacks = config?.callbacks;
  return isObject(callbacks) ? text(callbacks["_parentRunId"]) : undefined;
}

/** The session of a call. */
export function sessionOf(
  metadata: Readonly<Record<string, unknown>> | undefined,
  configurable?: Readonly<Record<string, unknown>>,
): SessionId | undefined {
  return idIn(configurable?.["thread_id"] ?? metadata?.["thread_id"]);
}

/** Ids are texts, or the numbers of a database. */
function idIn(value: unknown): string | undefined {
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}

/** What the caller says about a run; callbacks see its metadata only. */
export function contextOf(
  metadata: Readonly<Record<string, unknown>> | undefined,
  configurable?: Readonly<Record<string, unknown>>,
): RunContext {
  const tenant = idIn(configurable?.["tenant"] ?? metadata?.["tenant"]);
  const priority = configurable?.["priority"] ?? metadata?.["priority"];
  const deadlineMs = configurable?.["deadline_ms"] ?? metadata?.["deadline_ms"];
  return {
    ...(tenant !== undefined && { tenant }),
    ...(typeof priority === "number" && priority >= 0 && priority <= 1 && { priority }),
    ...(typeof deadlineMs === "number" && deadlineMs > 0 && { deadlineMs }),
  };
}

/** Adds what the config of a run's first node says to what its metadata said. */
export function configureRun(run: Run, config: ConfigLike | undefined): void {
  if (run.isConfigured || !config?.configurable) return;
  run.isConfigured = true;
  run.context = { ...contextOf(undefined, config.configurable), ...run.context };
}

/**
 * Objects that live as long as one invocation of the root graph. `writer` is passed down by everything but RunnableLambdas and tools,
 * and streaming calls tell of it alone; the abort signal, which LangGraph always makes anew, gets into those as well, and into the
 * graphs that they call. The run control is neither: an application may give one to all its runs.
 */
export function runTokens(config: ConfigLike | undefined): readonly object[] {
  const tokens: object[] = [];
  const signals = config?.configurable?.["__pregel_abort_signals"];
  const signal = isObject(signals) ? signals["externalAbortSignal"] : undefined;
  if (typeof config?.writer === "function") tokens.push(config.writer);
  if (isObject(signal)) tokens.push(signal);
  return tokens;
}

/** The id that the caller gave the run, or a new one. */
export function runIdOf(config: ConfigLike | undefined): RunId {
  const info = isObject(config) ? (config as Record<string, unknown>)["executionInfo"] : undefined;
  return (isObject(info) ? text(info["runId"]) : undefined) ?? randomUUID();
}
