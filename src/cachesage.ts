import type { CacheSageOptions } from "./connect-options.ts";
import { type Connection, establish } from "./connection.ts";
import { contained, endAll } from "./contained.ts";
import { messageOf } from "./errors.ts";
import type { DashboardOptionsInput } from "./dashboard/options.ts";
import type { Dashboard } from "./dashboard/server.ts";
import { LiveDashboard } from "./dashboard/live-dashboard.ts";
import type { Address } from "./engine-registry.ts";
import { EventTurn, patienceWith } from "./event-turn.ts";
import { createFramework, type Framework } from "./langgraph/index.ts";
import { AnchorDrift } from "./langgraph/anchor-drift.ts";
import { ShapeDrift } from "./langgraph/shape-drift.ts";
import type { Host } from "./langgraph/host.ts";
import { PromptStore } from "./langgraph/prompt-store.ts";
import { LearnedPredictor } from "./learn/predictor.ts";
import { Observers } from "./observers.ts";
import { closePolicies, installPolicies, type PolicySet } from "./policy-set.ts";
import { PolicyStates } from "./policy-states.ts";
import type { Advice, Outcome } from "./runtime/action.ts";
import { AgentRuntime } from "./runtime/agent-runtime.ts";
import type { EngineAdapter, EngineInfo } from "./runtime/engine.ts";
import type { AgentId, Event } from "./runtime/event.ts";
import { Ledger } from "./runtime/ledger.ts";
import { LivePrefixes } from "./runtime/live-prefixes.ts";
import { StandingHints } from "./runtime/standing-hints.ts";
import { SharedState } from "./shared-state.ts";
import { type CacheSageStats, Tally } from "./stats.ts";
import { openAppendLog } from "./wire/append-log.ts";
import { CacheWatch } from "./wire/cache-watch.ts";
import { HintQueue } from "./wire/hint-queue.ts";

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
  readonly #ledger = new Ledger();
  readonly #turn: EventTurn;
  readonly #adapter: EngineAdapter;
  readonly #framework: Framework;
  readonly #predictor: LearnedPredictor;
  readonly #prefixes: LivePrefixes;
  readonly #policies: PolicySet;
  readonly #states: PolicyStates;
  readonly #queue: HintQueue;
  readonly #shared: SharedState | undefined;
  readonly #observers: Observers | undefined;
  readonly #tally = new Tally();
  readonly #caches: CacheWatch;
  readonly #dashboard: LiveDashboard;
  readonly #closeFailed: (where: string, error: unknown) => void;

  private constructor({ settings, adapter, engine, policies: chosen }: Connection) {
    const { clock, cacheHints } = settings;
    this.engine = engine;
    this.#adapter = adapter;
    const tally = this.#tally;
    const fault = (where: string, error: unknown) => {
      tally.faults++;
      contained(() => this.#dashboard.fault(where, error));
      contained(() => settings.onFault?.(where, error));
      this.#observers?.fault(where, error);
    };
    const observers = (this.#observers = Observers.of(settings.telemetry, {
      ledger: this.#ledger,
      engine: adapter.name,
      clock,
      cacheHints,
      stats: () => this.#kept,
      onFault: () => tally.faults++,
    }));
    const predictor = (this.#predictor = new LearnedPredictor());
    const prefixes = (this.#prefixes = new LivePrefixes(predictor));
    const warn = (message: string) => void contained(() => settings.warn(`cachesage: ${message}`));
    const unclosed = new Set<string>();
    this.#closeFailed = (where, error) => {
      fault(`close ${where}`, error);
      if (!unclosed.has(where)) warn(`${where} could not be closed: ${messageOf(error)}`);
      unclosed.add(where);
    };
    const policies = (this.#policies = installPolicies(chosen, {
      context: { clock, predictor, prefixes, openLog: openAppendLog },
      ledger: this.#ledger,
      onFault: fault,
      budgetMs: settings.holdBudgetMs,
      workers: () => adapter.workers?.() ?? [],
      servesByPriority: () => cacheHints && "priority" in adapter.supports,
    }));
    const states = (this.#states = new PolicyStates(policies, warn));
    const shared = (this.#shared = SharedState.of(settings, {
      predictor,
      policies: states,
      engine: adapter.baseURL,
      onFault: (error) => fault("store", error),
      warn,
    }));
    const { room } = policies;
    const speculates = policies.installed.some(({ definition }) => definition.actions.includes("speculate"));
    const runtime = new AgentRuntime({
      clock,
      predictor,
      prefixes,
      policies: policies.installed,
      faults: policies.faults,
      ledger: this.#ledger,
      aheadTokens: settings.aheadTokens,
      onFault: fault,
      onDecision: (microseconds) => {
        tally.decided(microseconds);
        observers?.decided(microseconds);
      },
    });
    const leadOf = (agent: AgentId) => prefixes.anchor(agent)?.lead ?? 0;
    const prompts = new PromptStore((agent) => predictor.sharedHistory(agent) >= 0.5, leadOf);
    const drift = new AnchorDrift({
      warn,
      ...(adapter.tokenize && { tokenize: (body) => adapter.tokenize?.(body) ?? Promise.resolve([]) }),
    });
    const shapeDrift = new ShapeDrift(warn);
    const standing = new StandingHints();
    const settle = (hint: Advice, outcome: Outcome) => {
      tally.settled(hint, outcome);
      const policy = runtime.settle(hint, outcome);
      observers?.outcome(hint, outcome, policy);
    };
    this.#queue = new HintQueue({
      adapter,
      compose: ({ prefix, without }) => prompts.compose(prefix, without),
      onOutcome: (hint, outcome) => contained(() => settle(hint, outcome)),
      warn,
      ...(shared && { mayPrefetch: (body) => shared.mayPrefetch(body) }),
    });
    const take = (events: readonly Event[], at?: number) => {
      for (const event of events) runtime.take(event);
      const actions = this.#framework.speculate(runtime.decide(at), settle);
      observers?.decisions();
      for (const event of events) {
        room?.observe(event);
        if (this.#dashboard.isOpen) contained(() => this.#dashboard.event(event), fault, "dashboard");
        if (!cacheHints && event.type === "request-start")
          contained(() => shapeDrift.observe(event), fault, "anchor drift");
      }
      if (!cacheHints) return;
      standing.note(actions);
      this.#queue.push(actions, events);
    };
    const tell = (events: readonly Event[], at?: number) => contained(() => take(events, at), fault, "emit");
    // Advice that is acted on, told of as it is given, or given by a policy that may go by the clock.
    const isAwaited = cacheHints || Boolean(observers ?? shared) || !policies.areDefault;
    const turn = (this.#turn = new EventTurn(tell, clock, () => isAwaited || this.#dashboard.isOpen));
    const isStrict = room !== undefined || speculates;
    const host: Host = {
      clock,
      baseURL: adapter.baseURL,
      cacheHints,
      ...((settings.apiKey ?? adapter.apiKey) !== undefined && { apiKey: settings.apiKey ?? adapter.apiKey }),
      emit: (event) => {
        if (settings.onEvent) contained(() => settings.onEvent?.(event), fault, "onEvent");
        if (adapter.observe) contained(() => adapter.observe?.(event), fault, "adapter");
        shared?.observe(event);
        observers?.event(event);
        turn.add(event, patienceWith(event, isStrict, this.#dashboard.isOpen));
        if (event.type === "run-end") contained(() => prompts.end(event.run), fault, "prompts");
      },
      decorate: (call) => {
        turn.end();
        const told = prefixes.describe(call);
        return contained(() => adapter.decorate?.(told, standing.of(told)), fault, "decorate");
      },
      ...(adapter.route && { route: (call) => adapter.route?.(call) }),
      ...(adapter.answered && { answered: (call, headers) => adapter.answered?.(call, headers) }),
      requestBody: (identity, body, request) => {
        turn.end();
        contained(() => prompts.request(prefixes.promptOf(identity, request), body), fault, "prompts");
        contained(() => drift.request(identity, body), fault, "anchor drift");
      },
      introduction: (agent, body) => prompts.introduce(agent, body),
      answer: (identity, text) => contained(() => prompts.answer(identity, text), fault, "prompts"),
      ...(room && { gate: room }),
      speculates,
      tokens: (characters) => predictor.tokens(characters),
      fault,
      warn,
    };
    this.#framework = createFramework(host);
    this.#dashboard = new LiveDashboard(() => ({
      kind: "app",
      name: "",
      clock,
      engine,
      adapter,
      cacheHints,
      ledger: this.#ledger,
      predictor,
      prefixes,
      policies: policies.installed.map((installed, index) => ({
        name: installed.definition.name,
        description: installed.definition.description,
        options: chosen[index]?.options,
        policy: installed.policy,
        isLeftOut: () => policies.faults.isLeftOut(installed),
      })),
      policiesOff: Object.keys(settings.policies).filter((name) => settings.policies[name] === false),
      stats: () => this.stats,
      caches: () => this.#caches.start().states,
    }));
    const { onCacheEvent } = settings;
    this.#caches = new CacheWatch({
      adapter,
      onEvent: (event) => {
        contained(() => onCacheEvent?.(event), fault, "onCacheEvent");
        observers?.cacheEvent(event);
        runtime.observeCache(event);
      },
      onFault: (error) => fault("cache events", error),
    });
    const isTold = policies.installed.some(({ policy }) => policy.observeCache);
    if (adapter.readsEvents || onCacheEvent || observers?.wantsCacheEvents || isTold) this.#caches.start();
  }

  /**
   * Connects to an engine, or starts the embedded one in this process when no url is given.
   *
   * @param url base URL of an OpenAI-compatible server, ending in `/v1`; several are replicas, among which sessions stick.
   * @throws InvalidOptionsError, UnknownNameError, MissingDependencyError, EngineError.
   */
  static async connect(url?: Address | readonly Address[], given?: CacheSageOptions): Promise<CacheSage>;
  static async connect(given?: CacheSageOptions): Promise<CacheSage>;
  static async connect(
    first?: Address | readonly Address[] | CacheSageOptions,
    second?: CacheSageOptions,
  ): Promise<CacheSage> {
    const sage = new CacheSage(await establish(first, second));
    await sage.#shared?.start();
    return sage;
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

  /** Wraps a tool, or a function that is one, so that its calls ask policies first. Not needed in instrumented graphs. */
  get tool(): Framework["tool"] {
    return this.#framework.tool;
  }

  /**
   * Makes known what an agent's prompts begin with before its first call: `sage.introduce("coder", () =>
   * model.bindTools(tools).invoke([system]))`. The call is looked at, not sent.
   */
  get introduce(): Framework["introduce"] {
    return this.#framework.introduce;
  }

  /**
   * Says, inside a node, who runs after it, where the app knows before the node ends: an answer that names the next agent before
   * its tools have run. `sage.announce("coder")`, several side by side `["coder", "tester"]`, no more `END`. Prefetches are for
   * these then; what LangGraph does in the end stands. Call it after the node's last model call. Never throws.
   */
  get announce(): Framework["announce"] {
    return this.#framework.announce;
  }

  /** Every decision with its reason and outcome, newest first. */
  get ledger(): Ledger {
    this.#turn.end();
    return this.#ledger;
  }

  /** What was seen and done so far. */
  get stats(): CacheSageStats {
    this.#turn.end();
    return {
      ...this.#kept,
      ...this.#tally.value,
      caches: this.#caches.states.caches,
      workers: this.#adapter.workers?.() ?? [],
    };
  }

  get #kept(): Pick<CacheSageStats, "nextAgent" | "openRuns" | "repeats" | "warmUps" | "store"> {
    const { warmUps } = this.#adapter;
    return {
      nextAgent: this.#predictor.accuracy,
      openRuns: this.#prefixes.openRuns,
      repeats: this.#policies.room?.repeats ?? { made: 0, won: 0, lost: 0 },
      ...(warmUps && { warmUps }),
      ...(this.#shared && { store: this.#shared.stats }),
    };
  }

  /**
   * Serves a page, by default to this machine only, that shows live what is observed and decided: ids, counts and hashes,
   * never prompt text. There is one at a time; until the first is opened it costs nothing.
   *
   * @throws InvalidOptionsError, CacheSageError `INVALID_OPTIONS` when the address cannot be listened on, or after `close()`.
   */
  dashboard(given?: DashboardOptionsInput): Promise<Dashboard> {
    return this.#dashboard.open(given);
  }

  /**
   * Learned counts, and beside them in `policies` what policies remember, as JSON: no prompt text, no run or session ids.
   */
  snapshot(): unknown {
    this.#turn.end();
    return { ...this.#predictor.snapshot(), policies: this.#states.snapshot() };
  }

  /**
   * Adds a snapshot's counts to what is known, and gives each policy at work its state back; a policy that cannot take it
   * goes without, with a warning. Throws InvalidOptionsError when it is not a snapshot.
   */
  restore(state: unknown): void {
    this.#turn.end();
    this.#predictor.restore(state);
    this.#states.restore((state as { readonly policies?: unknown }).policies);
  }

  /** Resolves when every hint sent so far is answered or given up. */
  idle(): Promise<void> {
    this.#turn.end();
    return this.#queue.idle();
  }

  /**
   * Withdraws pending hints, sends the store what is left and closes the engine's adapter; an embedded engine stops. The store
   * stays open. What cannot be closed is told as a warning, and the rest is closed. Idempotent; never rejects.
   */
  async close(): Promise<void> {
    this.#turn.end();
    const parts = {
      dashboard: () => this.#dashboard.close(),
      policies: () => {
        this.#states.close();
        closePolicies(this.#policies);
      },
      hints: () => this.#queue.close(),
      "cache events": () => this.#caches.stop(),
      store: () => this.#shared?.close(),
      engine: () => this.#adapter.close(),
      telemetry: () => this.#observers?.close(),
    };
    await endAll(parts, this.#closeFailed);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
