import { z } from "zod";
import type { DashboardOptionsInput } from "./dashboard/options.ts";
import type { Dashboard } from "./dashboard/server.ts";
import { LiveDashboard } from "./dashboard/live-dashboard.ts";
import { InvalidOptionsError } from "./errors.ts";
import { createFramework, type Framework } from "./langgraph/index.ts";
import type { Host } from "./langgraph/host.ts";
import { PromptStore } from "./langgraph/prompt-store.ts";
import type { NextAgentAccuracy } from "./learn/accuracy.ts";
import { LearnedPredictor } from "./learn/predictor.ts";
import { parseOptions } from "./options.ts";
import { registry } from "./registry.ts";
import { type Action, type Hint, type Outcome, type PrefixRef, prefixId } from "./runtime/action.ts";
import { AgentRuntime, type InstalledPolicy } from "./runtime/agent-runtime.ts";
import type { Clock } from "./runtime/clock.ts";
import type { EngineAdapter, EngineDefinition, EngineInfo } from "./runtime/engine.ts";
import type { Event, Identity } from "./runtime/event.ts";
import { Ledger } from "./runtime/ledger.ts";
import { LivePrefixes } from "./runtime/live-prefixes.ts";
import type { PolicyDefinition } from "./runtime/policy.ts";
import { HintQueue } from "./wire/hint-queue.ts";

const engines = registry<EngineDefinition>("engine", new URL("./engines/", import.meta.url));
const policies = registry<PolicyDefinition<"prefix">>("policy", new URL("./policies/", import.meta.url));

const isFunction = (value: unknown) => typeof value === "function";
const options = z.strictObject({
  engine: z
    .custom<string | EngineAdapter>(
      (value) => typeof value === "string" || isAdapter(value),
      'expected an engine\'s name, or an EngineAdapter: specificationVersion "v1", supports, connect, apply and close',
    )
    .default("embedded")
    .describe("Serving engine: the name of an adapter, or an adapter of your own."),
  engineOptions: z.record(z.string(), z.unknown()).default({}).describe("Options of that adapter."),
  cacheHints: z
    .boolean()
    .default(false)
    .describe("THE flag. false: observe only, the bytes of every request stay as they are."),
  policies: z
    .record(z.string(), z.union([z.literal(false), z.record(z.string(), z.unknown())]))
    .default({})
    .describe("Per policy its options, or false to leave it out. All policies are on otherwise."),
  apiKey: z.string().optional().describe("Key for the engine, when it wants one."),
  onEvent: z.custom<(event: Event) => void>(isFunction, "expected a function").optional(),
  onFault: z
    .custom<(where: string, error: unknown) => void>(isFunction, "expected a function")
    .optional()
    .describe("Told of every contained fault; by default they are only counted."),
  warn: z
    .custom<(message: string) => void>(isFunction, "expected a function")
    .default(() => (message: string) => process.emitWarning(message, { type: "CacheSageWarning" })),
  clock: z.custom<Clock>((value) => isFunction((value as Clock | null)?.now)).default(() => performance),
});

/** Options of `CacheSage.connect`. */
export type CacheSageOptions = z.input<typeof options>;

/** What cachesage did and saw so far. */
export interface CacheSageStats {
  readonly nextAgent: NextAgentAccuracy;
  /** Duration of the newest decisions (at most 8,192), in microseconds. */
  readonly decisionUs: readonly number[];
  /** Hints by verb and what became of them, e.g. `prefetch applied`. */
  readonly hints: Readonly<Record<string, number>>;
  readonly faults: number;
  readonly openRuns: number;
}

const DECISIONS_KEPT = 8192;

interface Counts {
  faults: number;
  readonly hints: Record<string, number>;
  readonly decisions: number[];
}

/**
 * The agent runtime layer between a LangGraph.js app and a serving engine.
 *
 * @example
 * const sage = await CacheSage.connect("http://engine:8000/v1", { engine: "embedded", cacheHints: true });
 * const model = new ChatOpenAI({ model: "default", ...sage.model() });
 * const graph = sage.instrument(builder.compile());
 */
export class CacheSage {
  /** What the engine turned out to be. */
  readonly engine: EngineInfo;
  /** Every decision with its reason and outcome, newest first. */
  readonly ledger: Ledger;
  readonly #adapter: EngineAdapter;
  readonly #framework: Framework;
  readonly #predictor: LearnedPredictor;
  readonly #prefixes: LivePrefixes;
  readonly #queue: HintQueue;
  readonly #counts: Counts;
  readonly #dashboard: LiveDashboard;

  private constructor(parts: {
    readonly settings: z.output<typeof options>;
    readonly adapter: EngineAdapter;
    readonly engine: EngineInfo;
    readonly policies: readonly {
      readonly definition: PolicyDefinition<"prefix">;
      readonly options: unknown;
    }[];
  }) {
    const { settings, adapter, engine } = parts;
    const { clock, cacheHints } = settings;
    this.engine = engine;
    this.#adapter = adapter;
    this.ledger = new Ledger();
    const counts: Counts = { faults: 0, hints: {}, decisions: [] };
    this.#counts = counts;
    const fault = (where: string, error: unknown) => {
      counts.faults++;
      contained(() => this.#dashboard.fault(where, error));
      contained(() => settings.onFault?.(where, error));
    };
    const predictor = (this.#predictor = new LearnedPredictor());
    const prefixes = (this.#prefixes = new LivePrefixes((characters) => predictor.tokens(characters)));
    const installed = parts.policies.map(({ definition, options: chosen }): InstalledPolicy => ({
      definition,
      policy: definition.create({ options: chosen, clock, predictor, prefixes }),
    }));
    let decisions = 0;
    const runtime = new AgentRuntime({
      clock,
      predictor,
      prefixes,
      policies: installed,
      ledger: this.ledger,
      onFault: fault,
      onDecision: (microseconds) => (counts.decisions[decisions++ % DECISIONS_KEPT] = microseconds),
    });
    const prompts = new PromptStore();
    const standing = new Map<string, Action>();
    const settle = (hint: Hint, outcome: Outcome) => {
      const key = `${hint.type} ${outcome.status}`;
      counts.hints[key] = (counts.hints[key] ?? 0) + 1;
      this.ledger.settle(hint, outcome);
    };
    this.#queue = new HintQueue({
      adapter,
      compose: ({ prefix }) => prompts.compose(prefix, predictor.sharedHistory(prefix.agent) >= 0.5),
      onOutcome: (hint, outcome) => contained(() => settle(hint, outcome)),
    });
    const host: Host = {
      clock,
      baseURL: adapter.baseURL,
      cacheHints,
      ...((settings.apiKey ?? adapter.apiKey) !== undefined && { apiKey: settings.apiKey ?? adapter.apiKey }),
      emit: (event) => {
        contained(() => settings.onEvent?.(event), fault, "onEvent");
        const actions = runtime.observe(event);
        contained(() => this.#dashboard.event(event), fault, "dashboard");
        if (!cacheHints) return;
        contained(
          () => {
            remember(standing, actions);
            this.#queue.push(actions);
            if (event.type === "run-end") prompts.end(event.run);
          },
          fault,
          "hints",
        );
      },
      decorate: (call) =>
        contained(() => adapter.decorate?.(call, decisionsFor(standing, call.identity)), fault, "decorate"),
      requestBody: (identity, body) => contained(() => prompts.request(identity, body), fault, "prompts"),
      answer: (identity, text) => contained(() => prompts.answer(identity, text), fault, "prompts"),
      fault,
      warn: (message) => contained(() => settings.warn(`cachesage: ${message}`)),
    };
    this.#framework = createFramework(host);
    this.#dashboard = new LiveDashboard(() => ({
      kind: "app",
      name: "",
      clock,
      engine,
      adapter,
      cacheHints,
      ledger: this.ledger,
      predictor,
      prefixes,
      policies: installed.map(({ definition, policy }, index) => ({
        name: definition.name,
        description: definition.description,
        options: parts.policies[index]?.options,
        policy,
      })),
      policiesOff: Object.keys(settings.policies).filter((name) => settings.policies[name] === false),
      stats: () => this.stats,
    }));
  }

  /**
   * Connects to an engine, or starts the embedded one in this process when no url is given.
   *
   * @param url base URL of an OpenAI-compatible server, ending in `/v1`.
   * @throws InvalidOptionsError, UnknownNameError, MissingDependencyError, EngineError.
   */
  static async connect(url?: string | URL, given?: CacheSageOptions): Promise<CacheSage>;
  static async connect(given?: CacheSageOptions): Promise<CacheSage>;
  static async connect(
    first?: string | URL | CacheSageOptions,
    second?: CacheSageOptions,
  ): Promise<CacheSage> {
    const hasUrl = typeof first === "string" || first instanceof URL;
    const settings = parseOptions("cachesage", options, (hasUrl ? second : (first ?? second)) ?? {});
    const chosen = await choosePolicies(settings.policies);
    const adapter = await chooseEngine(settings, hasUrl ? String(first) : undefined);
    const engine = await adapter.connect();
    return new CacheSage({ settings, adapter, engine, policies: chosen });
  }

  /** Adapter of the connected engine. */
  get adapter(): EngineAdapter {
    return this.#adapter;
  }

  /** The callback handler: `graph.invoke(input, { callbacks: [sage.handler] })`. */
  get handler(): Framework["handler"] {
    return this.#framework.handler;
  }

  /** A `fetch` for OpenAI-compatible clients that adds hints to the engine's requests and to no others. */
  get fetch(): Framework["fetch"] {
    return this.#framework.fetch;
  }

  /** Fields to spread into ChatOpenAI: base URL, fetch and callbacks; `fields` are merged in. */
  get model(): Framework["model"] {
    return this.#framework.model;
  }

  /** Observes a compiled graph in place and returns it, with its exact type. Idempotent. */
  get instrument(): Framework["instrument"] {
    return this.#framework.instrument;
  }

  /** Observes one node; the explicit alternative to `instrument`. */
  get wrapNode(): Framework["wrapNode"] {
    return this.#framework.wrapNode;
  }

  /** Middleware for langchain's createAgent. */
  get middleware(): Framework["middleware"] {
    return this.#framework.middleware;
  }

  get stats(): CacheSageStats {
    return {
      nextAgent: this.#predictor.accuracy,
      decisionUs: [...this.#counts.decisions],
      hints: { ...this.#counts.hints },
      faults: this.#counts.faults,
      openRuns: this.#prefixes.openRuns,
    };
  }

  /**
   * Serves a page, by default to this machine only, that shows live what is observed and decided: ids, counts and hashes,
   * never prompt text. There is one at a time; until the first is opened it costs nothing.
   *
   * @throws InvalidOptionsError, CacheSageError `INVALID_OPTIONS` when the address cannot be listened on.
   */
  dashboard(given?: DashboardOptionsInput): Promise<Dashboard> {
    return this.#dashboard.open(given);
  }

  /** Learned counts as JSON: no prompt text, no run or session ids. */
  snapshot(): unknown {
    return this.#predictor.snapshot();
  }

  /** Adds a snapshot's counts to what is known. Throws InvalidOptionsError when it is not one. */
  restore(state: unknown): void {
    this.#predictor.restore(state);
  }

  /** Resolves when every hint sent so far is answered or given up. */
  idle(): Promise<void> {
    return this.#queue.idle();
  }

  /** Withdraws pending hints and closes the engine's adapter; an embedded engine stops. Idempotent. */
  async close(): Promise<void> {
    await this.#dashboard.close();
    await this.#queue.close();
    await this.#adapter.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

async function chooseEngine(
  settings: z.output<typeof options>,
  url: string | undefined,
): Promise<EngineAdapter> {
  if (typeof settings.engine !== "string") return settings.engine;
  if (url !== undefined && !URL.canParse(url))
    throw new InvalidOptionsError(
      "cachesage",
      `the engine's url cannot be read, got ${JSON.stringify(url)}`,
      {
        hint: "Pass an absolute URL such as http://localhost:8000/v1.",
      },
    );
  const definition = await engines.load(settings.engine);
  const given = { ...settings.engineOptions, ...(url !== undefined && { url }) };
  return definition.create(parseOptions(`engine ${definition.name}`, definition.options, given));
}

async function choosePolicies(chosen: z.output<typeof options>["policies"]) {
  const names = await policies.names();
  for (const name of Object.keys(chosen)) if (!names.includes(name)) await policies.load(name);
  const wanted = names.filter((name) => chosen[name] !== false);
  return Promise.all(
    wanted.map(async (name) => {
      const definition = await policies.load(name);
      return { definition, options: parseOptions(`policy ${name}`, definition.options, chosen[name] || {}) };
    }),
  );
}

/** Keeps the latest word on each prefix, so that a request can carry it. */
function remember(standing: Map<string, Action>, actions: readonly Action[]): void {
  for (const action of actions) {
    if (action.type === "retain") standing.set(prefixId(action.prefix), action);
    else if (action.type === "release") standing.delete(prefixId(action.prefix));
  }
}

function decisionsFor(standing: ReadonlyMap<string, Action>, { agent, run }: Identity): readonly Action[] {
  const prefixes: readonly PrefixRef[] = [{ agent, run }, { agent }];
  return prefixes.flatMap((prefix) => standing.get(prefixId(prefix)) ?? []);
}

/** Calls what is not ours; what it throws is a fault, and so is a rejection where a user's callback is async. */
function contained<T>(
  use: () => T,
  fault?: (where: string, error: unknown) => void,
  where = "callback",
): T | undefined {
  try {
    const result = use();
    if (result instanceof Promise) result.catch((error: unknown) => fault?.(where, error));
    return result;
  } catch (error) {
    fault?.(where, error);
    return undefined;
  }
}

function isAdapter(value: unknown): value is EngineAdapter {
  const adapter = value as Partial<EngineAdapter> | null;
  return (
    typeof adapter === "object" &&
    adapter !== null &&
    adapter.specificationVersion === "v1" &&
    typeof adapter.supports === "object" &&
    adapter.supports !== null &&
    [adapter.connect, adapter.apply, adapter.close].every(isFunction)
  );
}
