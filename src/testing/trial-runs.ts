import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { CacheEvent } from "../runtime/cache-event.ts";
import type { CallSubject } from "../runtime/call.ts";
import type { Event, Identity } from "../runtime/event.ts";

/** What a policy lives through: an event, one of a cache, a call that comes to the gate, a call that ends, or time that passes. */
export type TrialStep =
  | { readonly type: "event"; readonly event: Event }
  | { readonly type: "cache"; readonly event: CacheEvent }
  | { readonly type: "arrive"; readonly call: CallSubject }
  | { readonly type: "leave"; readonly call: CallSubject; readonly output: unknown }
  | { readonly type: "wait"; readonly ms: number };

const AGENTS = ["planner", "coder", "tester", "__proto__"] as const;
const TOOLS = ["read", "write", "refund", "constructor"] as const;
const STATUSES = ["completed", "failed", "interrupted", "cancelled"] as const;
const OUTPUTS: readonly unknown[] = ["text", "", undefined, null, [], { rows: [1, 2] }, 7];
const ARGUMENTS: readonly unknown[] = [{ path: "a" }, { path: "b" }, {}, undefined, "text", { amount: 1e9 }];

/** Steps in an order that no application keeps to: ends before starts, calls of runs that are over, twins. Same seed, same steps. */
export function trialSteps(seed: number, length: number): readonly TrialStep[] {
  const random = xoroshiro128plus(seed);
  const draw = (below: number) => uniformInt(random, 0, below - 1);
  const pick = <T>(from: readonly T[]): T => from[draw(from.length)] as T;
  const calls: CallSubject[] = [];
  let at = 0;

  const identity = (): Identity => {
    const run = `run-${draw(4)}`;
    return {
      agent: pick(AGENTS),
      run,
      namespace: "",
      ...(draw(2) === 0 && { session: `session-${draw(2)}` }),
    };
  };
  const event = (): Event => {
    const request = `request-${draw(12)}`;
    const tool = { call: `call-${draw(8)}`, tool: pick(TOOLS) };
    const status = pick(STATUSES);
    const run = `run-${draw(4)}`;
    const prompt = {
      anchor: { hash: `anchor-${draw(3)}`, length: draw(8000) },
      history: Array.from({ length: draw(5) }, (_none, i) => ({ hash: `${i}`, length: draw(2000) })),
    };
    const usage = { promptTokens: draw(3000), outputTokens: draw(300), cachedTokens: draw(3000) };
    return pick<() => Event>([
      () => ({ type: "topology", at, graph: "g", agents: [...AGENTS], edges: [] }),
      () => ({ type: "run-start", at, run, ...(draw(2) === 0 && { session: `session-${draw(2)}` }) }),
      () => ({ type: "run-end", at, run, status }),
      () => ({ type: "agent-start", at, ...identity(), activation: "1" }),
      () => ({ type: "agent-end", at, ...identity(), activation: "1", status }),
      () => ({
        type: "next-agents",
        at,
        run,
        from: pick(AGENTS),
        agents: [pick(AGENTS)],
        source: pick(["edge", "app"]),
      }),
      () => ({ type: "request-start", at, ...identity(), request, prompt }),
      () => ({ type: "request-first-token", at, ...identity(), request }),
      () => ({ type: "request-end", at, ...identity(), request, status, ...(draw(2) === 0 && { usage }) }),
      () => ({ type: "tool-start", at, ...identity(), ...tool }),
      () => ({ type: "tool-end", at, ...identity(), ...tool, status }),
    ])();
  };
  const call = (): CallSubject => {
    const { agent, run, session } = identity();
    const about = {
      agent,
      run,
      at,
      ...(session !== undefined && { session }),
      ...(draw(2) === 0 && { tenant: `tenant-${draw(2)}` }),
    };
    const made = pick<() => CallSubject>([
      () => ({
        ...about,
        kind: "request",
        id: `request-${draw(12)}`,
        anchor: `anchor-${draw(3)}`,
        anchorTokens: draw(2000),
        tokens: draw(4000),
        ...(draw(2) === 0 && { priority: draw(101) / 100 }),
        ...(draw(4) === 0 && { deadline: at + draw(500) }),
        ...(draw(2) === 0 && { streams: draw(2) === 0 }),
      }),
      () => ({
        ...about,
        kind: "late-request",
        id: `request-${draw(12)}`,
        worker: pick(["http://one/v1", "http://elsewhere/v1"]),
      }),
      () => ({
        ...about,
        kind: "tool-call",
        id: `call-${calls.length}`,
        tool: pick(TOOLS),
        args: pick(ARGUMENTS),
        form: pick(["message", "value"] as const),
      }),
      () => ({
        ...about,
        kind: "transition",
        id: `step-${calls.length}`,
        from: draw(2) === 0 ? [] : [pick(AGENTS)],
      }),
    ])();
    calls.push(made);
    return made;
  };
  const cacheEvent = (): CacheEvent => {
    const from = { at, source: "tcp://one", ...(draw(2) === 0 && { worker: "http://one/v1" }) };
    const blocks = Array.from({ length: draw(4) }, (_none, i) => `${i}`);
    return pick<() => CacheEvent>([
      () => ({ ...from, type: "block-stored", blocks, tokens: blocks.map(Number), blockTokens: 1 }),
      () => ({ ...from, type: "block-removed", blocks, medium: pick(["GPU", "CPU"]) }),
      () => ({ ...from, type: "cache-cleared" }),
      () => ({ ...from, type: "gap", reason: pick(["lost", "restart", "unreadable"]) }),
    ])();
  };
  return Array.from({ length }, (): TrialStep => {
    at += draw(20);
    const kind = draw(10);
    if (draw(20) === 0) return { type: "cache", event: cacheEvent() };
    if (kind < 5) return { type: "event", event: event() };
    if (kind < 8 || calls.length === 0) return { type: "arrive", call: call() };
    if (kind < 9) return { type: "leave", call: pick(calls), output: pick(OUTPUTS) };
    return { type: "wait", ms: draw(400) };
  });
}

/** One run from begin to end as an application has it, the same for each number but for its ids. */
export function finishedRun(number: number): readonly TrialStep[] {
  const at = number * 100;
  const run = `finished-${number}`;
  const identity = { agent: "planner", run, namespace: "" };
  const request = `${run}-request`;
  const call = `${run}-call`;
  const prompt = { anchor: { hash: "anchor", length: 4000 }, history: [{ hash: run, length: 400 }] };
  const usage = { promptTokens: 1000, outputTokens: 50, cachedTokens: 500 };
  const asked = { agent: "planner", run, at };
  const step: CallSubject = { ...asked, kind: "transition", id: `${run}-step`, from: [] };
  const tool: CallSubject = { ...asked, kind: "tool-call", id: call, tool: "read", args: {}, form: "value" };
  const model: CallSubject = {
    ...asked,
    kind: "request",
    id: request,
    anchor: "anchor",
    anchorTokens: 1000,
    tokens: 1100,
  };
  const status = "completed";
  return [
    happened({ type: "run-start", at, run }),
    { type: "arrive", call: step },
    happened({ type: "agent-start", at, ...identity, activation: run }),
    happened({ type: "request-start", at, ...identity, request, prompt }),
    { type: "arrive", call: model },
    { type: "wait", ms: 20 },
    happened({ type: "request-first-token", at: at + 20, ...identity, request }),
    happened({ type: "request-end", at: at + 30, ...identity, request, status, usage }),
    happened({ type: "tool-start", at: at + 40, ...identity, call, tool: "read" }),
    { type: "arrive", call: tool },
    { type: "leave", call: tool, output: "text" },
    happened({ type: "tool-end", at: at + 50, ...identity, call, tool: "read", status }),
    happened({ type: "agent-end", at: at + 60, ...identity, activation: run, status }),
    happened({ type: "run-end", at: at + 70, run, status }),
  ];
}

function happened(one: Event): TrialStep {
  return { type: "event", event: one };
}
