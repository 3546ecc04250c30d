import { CacheSageHandler } from "./handler.ts";
import type { Host } from "./host.ts";
import { Introductions } from "./introductions.ts";
import { ModelCalls } from "./model-calls.ts";
import { NextAgents } from "./next-agents.ts";
import { guard, safeHost } from "./safe-host.ts";
import { Speculator } from "./speculator.ts";
import { StepGate } from "./step-gate.ts";
import { Tracker } from "./tracker.ts";
import { Unattended } from "./unattended.ts";

/** What sees an application's runs, and tells a host of them. */
export interface Observer {
  readonly host: Host;
  readonly tracker: Tracker;
  readonly unattended: Unattended;
  readonly next: NextAgents;
  readonly calls: ModelCalls;
  readonly handler: CacheSageHandler;
  readonly steps: StepGate;
  readonly introductions: Introductions;
  /** There only when a policy may start nodes early. */
  readonly speculator: Speculator | undefined;
}

/** Makes an observer. Nothing in it ever throws into the application or waits for the host. */
export function createObserver(given: Host, name?: string): Observer {
  const introductions = new Introductions();
  const safe = introductions.deaf(safeHost(given));
  const observing: { speculator?: Speculator } = {};
  const host: Host = safe.speculates
    ? {
        ...safe,
        emit: (event) => {
          safe.emit(event);
          guard(safe, "speculate", () => observing.speculator?.observe(event));
        },
      }
    : safe;
  const tracker = new Tracker(host);
  const unattended = new Unattended(tracker);
  const next = new NextAgents(host, tracker.names);
  const calls = new ModelCalls(host, tracker, unattended);
  if (safe.speculates) observing.speculator = new Speculator(host, tracker);
  return {
    host,
    tracker,
    unattended,
    next,
    calls,
    steps: new StepGate(host),
    introductions,
    speculator: observing.speculator,
    handler: new CacheSageHandler(host, tracker, next, calls, name),
  };
}
