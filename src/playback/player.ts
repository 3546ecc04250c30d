import { setTimeout as wait } from "node:timers/promises";
import type { DashboardSource, Watcher } from "../dashboard/source.ts";
import { LearnedPredictor } from "../learn/predictor.ts";
import { parseOptions } from "../options.ts";
import prefixCache from "../policies/prefix-cache.ts";
import { AgentRuntime } from "../runtime/agent-runtime.ts";
import type { Event } from "../runtime/event.ts";
import { PolicyFaults } from "../runtime/installed-policy.ts";
import { Ledger } from "../runtime/ledger.ts";
import { LivePrefixes } from "../runtime/live-prefixes.ts";
import cachesage from "../sim/baselines/cachesage.ts";
import { capacityIn } from "../sim/capacity.ts";
import { replay } from "../sim/replay.ts";
import type { Schedule } from "../sim/schedule.ts";
import { recordedEvents, spanOf } from "./recorded-events.ts";

export interface PlayerOptions {
  /** Size of the simulated cache: `25%` of the working set, `4096t` tokens or a number of blocks. */
  readonly capacity: string;
  /** Seconds that the whole recording takes. */
  readonly seconds: number;
}

/** Milliseconds between two looks at what has become due. */
const TICK_MS = 50;
const DECISIONS_KEPT = 8192;

/**
 * Plays a recording as if the app ran now: the real learner and the real policy see its events and decide; nothing is sent.
 * How much of each prompt is cached comes from a replay of the same policy through a block cache.
 */
export class Player {
  /** What a dashboard shows of it. */
  readonly source: DashboardSource;
  readonly #runtime: AgentRuntime;
  readonly #watchers = new Set<Watcher>();
  readonly #events: Generator<Event>;
  readonly #speed: number;
  readonly #from: number;
  /** The recording has a clock of its own, which stands still while something is decided. */
  readonly #decisionUs: number[] = [];
  #decisions = 0;
  #now: number;

  constructor(schedule: Schedule, { capacity, seconds }: PlayerOptions) {
    const blocks = capacityIn(capacity, schedule);
    const { workload } = schedule;
    const outcome = replay(schedule, cachesage, { capacity: blocks });
    this.#events = recordedEvents(schedule, outcome.hitsByCall);
    const [from, until] = spanOf(schedule);
    this.#from = this.#now = from;
    this.#speed = Math.max(1, until - from) / (seconds * 1000);
    const clock = { now: () => this.#now };
    const predictor = new LearnedPredictor();
    const prefixes = new LivePrefixes(predictor);
    const ledger = new Ledger();
    const options = parseOptions("policy prefix-cache", prefixCache.options, {});
    const policy = prefixCache.create({ options, clock, predictor, prefixes });
    let faults = 0;
    const installed = { definition: prefixCache, policy };
    const policyFaults = new PolicyFaults(() => faults++);
    this.#runtime = new AgentRuntime({
      clock,
      predictor,
      prefixes,
      policies: [installed],
      faults: policyFaults,
      ledger,
      onFault: () => faults++,
    });
    const { name, description } = prefixCache;
    const { blockTokens } = workload;
    this.source = {
      kind: "recording",
      name: workload.name,
      clock,
      engine: { engine: "simulated cache", models: [], blockTokens },
      adapter: {
        supports: {},
        baseURL: "",
        status: async () => ({ capacityTokens: blocks * blockTokens }),
      },
      cacheHints: true,
      ledger,
      predictor,
      prefixes,
      policies: [{ name, description, options, policy, isLeftOut: () => policyFaults.isLeftOut(installed) }],
      policiesOff: [],
      stats: () => ({
        nextAgent: predictor.accuracy,
        decisionUs: [...this.#decisionUs],
        hints: {},
        faults,
        openRuns: prefixes.openRuns,
      }),
      watch: (watcher) => {
        this.#watchers.add(watcher);
        return () => void this.#watchers.delete(watcher);
      },
    };
  }

  /** Plays to the end. Rejects with the signal's reason when it aborts. */
  async play(signal: AbortSignal): Promise<void> {
    const started = performance.now();
    const due = () => this.#from + (performance.now() - started) * this.#speed;
    let rested = started;
    for (const event of this.#events) {
      // Those who look on get their turn, also where playing cannot keep up.
      while (event.at > due() || performance.now() - rested > TICK_MS) {
        await wait(event.at > due() ? TICK_MS : 0, undefined, { signal });
        rested = performance.now();
        this.#now = Math.min(event.at, due());
      }
      this.#now = event.at;
      signal.throwIfAborted();
      const began = performance.now();
      this.#runtime.observe(event);
      const took = (performance.now() - began) * 1000;
      if (event.type !== "run-start") this.#decisionUs[this.#decisions++ % DECISIONS_KEPT] = took;
      for (const watcher of this.#watchers) watcher.event(event);
    }
  }
}
