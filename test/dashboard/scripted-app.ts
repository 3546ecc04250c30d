import { type DashboardOptionsInput } from "../../src/dashboard/options.ts";
import { startDashboard } from "../../src/dashboard/start.ts";
import type { DashboardSource, Watcher } from "../../src/dashboard/source.ts";
import { EngineError } from "../../src/errors.ts";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import prefixCache from "../../src/policies/prefix-cache.ts";
import { AgentRuntime } from "../../src/runtime/agent-runtime.ts";
import type { EngineStatus } from "../../src/runtime/engine.ts";
import { END, type Event, START } from "../../src/runtime/event.ts";
import { Ledger } from "../../src/runtime/ledger.ts";
import { LivePrefixes } from "../../src/runtime/live-prefixes.ts";

export const TEAM = ["planner", "coder", "tester"] as const;
/** Characters of an anchor and of a message. */
const ANCHOR = 2000;
const MESSAGE = 800;

/** The real learner, policy and ledger on a clock of the test's own, and an engine that says what the test wants. */
export class ScriptedApp {
  now = 0;
  /** What the engine answers; undefined: it does not. */
  status: EngineStatus | undefined = { capacityTokens: 4000, residentTokens: 1000, running: 1, waiting: 0 };
  readonly ledger = new Ledger();
  readonly source: DashboardSource;
  readonly watchers = new Set<Watcher>();
  readonly #runtime: AgentRuntime;
  #requests = 0;

  constructor(change: Partial<DashboardSource> = {}) {
    const clock = { now: () => this.now };
    const predictor = new LearnedPredictor();
    const prefixes = new LivePrefixes(predictor);
    const options = prefixCache.options.parse({});
    const policy = prefixCache.create({ options, clock, predictor, prefixes });
    const { ledger } = this;
    this.#runtime = new AgentRuntime({
      clock,
      predictor,
      prefixes,
      policies: [{ definition: prefixCache, policy }],
      ledger,
      onFault: (where, error) => this.fault(where, error),
    });
    this.source = {
      kind: "app",
      name: "",
      clock,
      engine: { engine: "scripted", models: ["m"], blockTokens: 16 },
      adapter: {
        supports: { retain: "native", prefetch: "emulated" },
        baseURL: "http://user:secret@127.0.0.1:9/v1?key=secret",
        status: async () => {
          if (this.status) return this.status;
          throw new EngineError("ENGINE_UNREACHABLE", "scripted", "nothing answers");
        },
      },
      cacheHints: true,
      ledger,
      predictor,
      prefixes,
      policies: [
        {
          name: prefixCache.name,
          description: prefixCache.description,
          options,
          policy,
          isLeftOut: () => false,
        },
      ],
      policiesOff: ["hedging"],
      stats: () => ({
        nextAgent: predictor.accuracy,
        decisionUs: [12, 20],
        hints: { "retain applied": 3, "prefetch cancelled": 1 },
        faults: 0,
        openRuns: prefixes.openRuns,
      }),
      watch: (watcher) => {
        this.watchers.add(watcher);
        return () => void this.watchers.delete(watcher);
      },
      ...change,
    };
  }

  open(options: DashboardOptionsInput = {}) {
    return startDashboard(this.source, { port: 0, refreshMs: 100, ...options });
  }

  tell(event: Event): void {
    this.now = Math.max(this.now, event.at);
    this.#runtime.observe(event);
    for (const watcher of this.watchers) watcher.event(event);
  }

  fault(where: string, error: unknown): void {
    for (const watcher of this.watchers) watcher.fault(where, error);
  }

  declare(): void {
    const path = [START, ...TEAM, END];
    const edges = path.slice(1).map((to, index) => ({ from: path[index] as string, to, weight: 1 }));
    this.tell({ type: "topology", at: this.now, graph: "team", agents: TEAM, edges });
  }

  start(run: string, session?: string): void {
    this.tell({
      type: "run-start",
      at: this.now,
      run,
      graph: "team",
      ...(session !== undefined && { session }),
    });
  }

  /** A call that takes 100 ms, its first token half of it; `messages` were said before it. @param system default: its agent's. */
  call(run: string, agent: string, messages: number, cachedTokens: number | undefined, system = agent): void {
    const request = String(++this.#requests);
    const identity = { run, agent, namespace: "" };
    const history = Array.from({ length: messages }, (_, i) => ({ hash: `${run}/${i}`, length: MESSAGE }));
    const prompt = { anchor: { hash: system, length: ANCHOR }, history };
    const promptTokens = (ANCHOR + messages * MESSAGE) / 4;
    this.tell({ type: "request-start", at: this.now, ...identity, request, prompt });
    this.tell({ type: "request-first-token", at: this.now + 50, ...identity, request });
    this.tell({
      type: "request-end",
      at: this.now + 50,
      ...identity,
      request,
      status: "completed",
      usage: { promptTokens, outputTokens: 10, ...(cachedTokens !== undefined && { cachedTokens }) },
      callsTools: false,
    });
    this.now += 100;
  }

  end(run: string): void {
    this.tell({ type: "run-end", at: this.now, run, status: "completed" });
  }

  /** Whole runs of the team, one after the other. */
  play(runs: number, from = 0): void {
    for (let i = from; i < from + runs; i++) {
      this.start(`run-${i}`);
      for (const [said, agent] of TEAM.entries()) this.call(`run-${i}`, agent, said, i === 0 ? 0 : 500);
      this.end(`run-${i}`);
    }
  }
}

/** What a view shows at the moment. */
export async function viewOf<T>(url: string, view: string, query: Record<string, string> = {}): Promise<T> {
  const response = await fetch(`${url}api/now?${new URLSearchParams({ view, ...query }).toString()}`);
  return ((await response.json()) as { readonly data: T }).data;
}
