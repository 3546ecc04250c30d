import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { Hint, HintType, PrefixRef } from "../runtime/action.ts";
import type { Decoration, EngineAdapter, OutgoingCall } from "../runtime/engine.ts";
import type { Event } from "../runtime/event.ts";
import { type Fault, startTrialServer } from "./trial-server.ts";

/** An adapter to try, and a server that it works with. */
export interface EngineSubject {
  /** A fresh adapter for the engine at this address, without `/v1`. */
  create(url: string): EngineAdapter;
  /** A server that works: the real one, or one that answers as its published schema has it. */
  serve(): Promise<HealthyServer>;
  /** Body of a request that the server takes; prefetches are made of it. */
  readonly body: Readonly<Record<string, unknown>>;
  /** False for an adapter that asks nothing when it connects. Default true. */
  readonly probes?: boolean;
  /** For strict servers: every field that a model request may have, those of `body` and any that are added. */
  readonly knownFields?: readonly string[];
}

/** A server that answers as the engine does; disposing it stops it. */
export interface HealthyServer extends AsyncDisposable {
  readonly url: string;
  /** What came in so far, where that can be seen. */
  readonly requests?: readonly { readonly path: string; readonly body: unknown }[];
}

/** One thing that every adapter has to do; `run` rejects with what is wrong. */
export interface ConformanceCase {
  readonly name: string;
  run(): Promise<void>;
}

const verbs: readonly HintType[] = ["retain", "release", "prefetch", "pin", "evict", "cancel"];
const faults: readonly Fault[] = ["error 500", "web page", "wrong JSON", "broken off"];
const identity = { agent: "writer", run: "run-1", namespace: "" };
const prefix: PrefixRef = { agent: "writer", run: "run-1" };

/**
 * What any engine adapter must hold to, as cases for the test runner of your choice.
 *
 * @example
 * for (const { name, run } of engineConformance(subject)) test(name, run);
 */
export function engineConformance(subject: EngineSubject): readonly ConformanceCase[] {
  const hints = (): readonly Hint[] => verbs.map((verb) => hintOf(verb, subject.body));
  return [
    ...faults.map((fault) => ({
      name: `apply never rejects: ${fault}`,
      run: async () => {
        await using server = await startTrialServer(fault);
        await applied(subject.create(server.url), hints());
      },
    })),
    {
      name: "apply never rejects: nothing listens",
      run: async () => {
        const server = await startTrialServer("silent");
        await server.close();
        await applied(subject.create(server.url), hints());
      },
    },
    {
      name: "an abort ends what a silent server leaves open, as cancelled",
      run: () => endsWithAbort(subject, hints()),
    },
    {
      name: "closing ends what a silent server leaves open; closing twice is fine; hints after it are cancelled",
      run: () => endsWithClose(subject, hints()),
    },
    {
      name: "connect tells what is wrong with an EngineError",
      run: async () => {
        if (subject.probes === false) return;
        for (const fault of faults) {
          await using server = await startTrialServer(fault);
          await using opened = open(subject.create(server.url));
          const { adapter } = opened;
          await assert.rejects(adapter.connect(), isReadable, fault);
        }
      },
    },
    { name: "connect tells what the engine is", run: () => connects(subject) },
    { name: "decorate is pure", run: () => decoratesPurely(subject) },
    { name: "supports says what happens", run: () => supportsWhatHappens(subject) },
    { name: "a strict server gets nothing that it does not know", run: () => sendsKnownFields(subject) },
    { name: "observe takes any event and never throws", run: async () => observes(subject) },
    { name: "no socket and no timer is left behind", run: () => leavesNothing(subject) },
  ];
}

/** Applies hints and checks the shape of what comes back; closes the adapter. */
async function applied(fresh: EngineAdapter, hints: readonly Hint[]): Promise<void> {
  await using opened = open(fresh);
  const { adapter } = opened;
  const outcomes = await within(10_000, adapter.apply(hints), "apply");
  assert.equal(outcomes.length, hints.length, "one outcome for each hint");
  for (const { status, reason } of outcomes) {
    assert.match(status, /^(applied|ignored|rejected|failed|cancelled)$/);
    if (status === "failed") assert.ok(reason, "a failure has a reason");
  }
  assert.deepEqual(await adapter.apply([]), []);
}

async function endsWithAbort(subject: EngineSubject, hints: readonly Hint[]): Promise<void> {
  await using server = await startTrialServer("silent");
  await using opened = open(subject.create(server.url));
  const { adapter } = opened;
  const controller = new AbortController();
  const pending = adapter.apply(hints, controller.signal);
  await delay(20);
  controller.abort();
  const outcomes = await within(2000, pending, "apply after the abort");
  assert.equal(outcomes.length, hints.length);
  assert.ok(
    outcomes.every(({ status }) => status !== "failed"),
    "what was aborted is cancelled, not failed",
  );
  assert.deepEqual(
    (await adapter.apply(hints, controller.signal)).filter(({ status }) => status === "failed"),
    [],
  );
}

async function endsWithClose(subject: EngineSubject, hints: readonly Hint[]): Promise<void> {
  await using server = await startTrialServer("silent");
  const adapter = subject.create(server.url);
  const pending = adapter.apply(hints);
  await delay(20);
  await Promise.all([adapter.close(), adapter.close()]);
  await adapter.close();
  assert.equal((await within(2000, pending, "apply after close")).length, hints.length);
  for (const { status } of await adapter.apply(hints)) assert.equal(status, "cancelled");
}

async function connects(subject: EngineSubject): Promise<void> {
  await using server = await subject.serve();
  await using opened = open(subject.create(server.url));
  const { adapter } = opened;
  const info = await adapter.connect();
  assert.equal(info.engine, adapter.name);
  assert.ok(Array.isArray(info.models));
  assert.match(adapter.baseURL, /^https?:\/\/.*\/v1$/, "a base URL ends in /v1");
  assert.equal(adapter.specificationVersion, "v1");
}

async function decoratesPurely(subject: EngineSubject): Promise<void> {
  await using server = await subject.serve();
  await using opened = open(subject.create(server.url));
  const { adapter } = opened;
  await adapter.connect();
  if (!adapter.decorate) return;
  const before = server.requests?.length;
  const call: OutgoingCall = { url: `${adapter.baseURL}/chat/completions`, identity };
  const decisions: readonly Hint[] = [
    { type: "retain", prefix, value: 0.7 },
    { type: "retain", prefix: { agent: "writer" }, value: 0.4, ttlMs: 400_000 },
  ];
  const given = [deepFreeze(structuredClone(call)), deepFreeze(structuredClone(decisions))] as const;
  const first = adapter.decorate(...given);
  assert.deepEqual(told(adapter.decorate(...given)), told(first), "the same call gives the same decoration");
  assert.doesNotThrow(() => JSON.stringify(first.fields ?? {}), "fields are JSON");
  for (const value of Object.values(first.headers ?? {}))
    assert.match(value, /^[\t\x20-\x7e]*$/, "headers are printable ASCII");
  const body = deepFreeze(structuredClone(subject.body));
  assert.deepEqual(first.edit?.(body), first.edit?.(body), "the same body gives the same edit");
  await delay(20);
  assert.equal(server.requests?.length, before, "decorate sends nothing");
}

async function supportsWhatHappens(subject: EngineSubject): Promise<void> {
  await using server = await subject.serve();
  await using opened = open(subject.create(server.url));
  const { adapter } = opened;
  await adapter.connect();
  for (const [verb, support] of Object.entries(adapter.supports)) {
    assert.ok(verb === "priority" || verbs.includes(verb as HintType), `${verb} is a verb, or priority`);
    assert.ok(support === "native" || support === "emulated", `${verb} is native or emulated`);
  }
  for (const verb of verbs) {
    const [outcome] = await within(20_000, adapter.apply([hintOf(verb, subject.body)]), verb);
    if (verb in adapter.supports)
      assert.notEqual(outcome?.status, "failed", `${verb} is supported, but failed: ${outcome?.reason}`);
    else assert.equal(outcome?.status, "ignored", `${verb} is not supported, so it is ignored`);
  }
  if ("prefetch" in adapter.supports) {
    const [outcome] = await adapter.apply([hintOf("prefetch", subject.body)]);
    assert.equal(outcome?.status, "applied", "a prefetch of a whole prompt is applied");
  }
}

async function sendsKnownFields(subject: EngineSubject): Promise<void> {
  await using server = await subject.serve();
  await using opened = open(subject.create(server.url));
  const { adapter } = opened;
  await adapter.connect();
  const { knownFields } = subject;
  if (!knownFields) return;
  await adapter.apply(verbs.map((verb) => hintOf(verb, subject.body)));
  const { fields = {}, edit } =
    adapter.decorate?.({ url: `${adapter.baseURL}/chat/completions`, identity }, []) ?? ({} as Decoration);
  const decorated = { ...subject.body, ...fields };
  const sent = [
    edit?.(decorated) ?? decorated,
    ...(server.requests ?? []).filter(({ path }) => path.startsWith("/v1/")).map(({ body }) => body),
  ];
  const unknown = sent
    .flatMap((body) => Object.keys(typeof body === "object" && body !== null ? body : {}))
    .filter((name) => !knownFields.includes(name));
  assert.deepEqual(unknown, []);
}

function observes(subject: EngineSubject): void {
  const adapter = subject.create("http://127.0.0.1:9");
  const at = 1;
  const prompt = { anchor: { hash: "a", length: 0 }, history: [] };
  const events: readonly Event[] = [
    { type: "request-end", at, ...identity, request: "never begun", status: "failed" },
    { type: "run-end", at, run: "never begun", status: "failed" },
    { type: "run-start", at, run: "run-1", session: "thread" },
    { type: "request-start", at, ...identity, request: "q1", prompt },
    { type: "request-first-token", at, ...identity, request: "q1" },
    { type: "request-start", at, ...identity, request: "q1", prompt },
    { type: "request-end", at, ...identity, request: "q1", status: "completed", usage: {} },
    { type: "agent-end", at, ...identity, activation: "x", status: "completed" },
    { type: "run-end", at, run: "run-1", session: "thread", status: "completed" },
    { type: "topology", at, graph: "g", agents: [], edges: [] },
  ];
  for (const event of events) assert.equal(adapter.observe?.(event), undefined);
}

async function leavesNothing(subject: EngineSubject): Promise<void> {
  await using server = await subject.serve();
  const before = resources();
  const adapter = subject.create(server.url);
  await adapter.connect();
  await adapter.apply([hintOf("prefetch", subject.body), hintOf("release", subject.body)]);
  await adapter.close();
  const deadline = performance.now() + 8000;
  while (performance.now() < deadline && resources() > before) await delay(50);
  assert.ok(resources() <= before, `left open: ${process.getActiveResourcesInfo().join(", ")}`);
}

/** Sockets and timers that keep this process alive; the one of the poll itself is always among them. */
function resources(): number {
  return process
    .getActiveResourcesInfo()
    .filter((name) => /^(TCPSocketWrap|TLSWrap|PipeWrap|UDPWRAP|Poll)$/.test(name)).length;
}

function hintOf(verb: HintType, body: unknown): Hint {
  switch (verb) {
    case "retain":
      return { type: verb, prefix, value: 0.5, ttlMs: 1000 };
    case "prefetch":
      return { type: verb, prefix, value: 0.5, probability: 0.9, tokens: 100, body };
    default:
      return { type: verb, prefix };
  }
}

/** What of a decoration can be compared: an edit is a function of its own each time. */
function told({ fields, headers }: Decoration): unknown {
  return { fields, headers };
}

function isReadable(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  assert.match(String(code), /^ENGINE_(UNREACHABLE|RESPONSE|UNSUPPORTED)$/);
  assert.ok(!String(message).startsWith("[object"), "its message is a sentence");
  return true;
}

/** An adapter that is closed at the end of the scope. */
function open(adapter: EngineAdapter): { readonly adapter: EngineAdapter } & AsyncDisposable {
  return { adapter, [Symbol.asyncDispose]: () => adapter.close() };
}

async function within<T>(ms: number, promise: Promise<T>, what: string): Promise<T> {
  const controller = new AbortController();
  const late = delay(ms, undefined, { signal: controller.signal }).then(() =>
    assert.fail(`${what} took longer than ${ms} ms`),
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    controller.abort();
    await late.catch(() => {});
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
