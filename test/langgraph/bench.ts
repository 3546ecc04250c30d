import { ChatOpenAI, type ChatOpenAIFields } from "@langchain/openai";
import { expect } from "vitest";
import type { Host } from "../../src/langgraph/host.ts";
import { createFramework, type Framework } from "../../src/langgraph/index.ts";
import type { Event, Identity } from "../../src/runtime/event.ts";
import { ScriptedServer, type Script } from "./scripted-server.ts";
import { signal, type Signal } from "./signal.ts";

/** Config of a run on a thread. */
export const session = { configurable: { thread_id: "thread" } };

/** A server, a host that records, and the framework side between them. */
export interface Bench extends AsyncDisposable {
  readonly server: ScriptedServer;
  readonly sage: Framework;
  readonly events: Event[];
  readonly faults: unknown[];
  readonly warnings: string[];
  readonly bodies: { readonly identity: Identity; readonly body: string }[];
  readonly answers: { readonly identity: Identity; readonly text: string }[];
  /** Resolves when an event of this type has been emitted. */
  until(type: Event["type"]): Promise<void>;
  /** A model that talks to the server through `sage.model()`. */
  model(fields?: ChatOpenAIFields): ChatOpenAI;
  /** The same model as an application would make it without cachesage. */
  plainModel(fields?: ChatOpenAIFields): ChatOpenAI;
}

export async function startBench(
  script?: Script,
  given: Partial<Host> | ((server: ScriptedServer) => Partial<Host>) = {},
): Promise<Bench> {
  const server = await ScriptedServer.start(script);
  const events: Event[] = [];
  const faults: unknown[] = [];
  const warnings: string[] = [];
  const bodies: Bench["bodies"] = [];
  const answers: Bench["answers"] = [];
  const waiting = new Map<Event["type"], Signal<void>>();
  const waitFor = (type: Event["type"]) => {
    let one = waiting.get(type);
    if (!one) waiting.set(type, (one = signal()));
    return one;
  };
  let now = 0;
  const sage = createFramework({
    clock: { now: () => ++now },
    baseURL: server.url,
    apiKey: "local",
    cacheHints: true,
    emit: (event) => {
      events.push(event);
      waitFor(event.type).resolve();
    },
    decorate: ({ identity }) => ({ fields: { seen_by: identity } }),
    requestBody: (identity, body) => void bodies.push({ identity, body }),
    answer: (identity, text) => void answers.push({ identity, text }),
    fault: (_where, error) => void faults.push(error),
    warn: (message) => void warnings.push(message),
    ...(typeof given === "function" ? given(server) : given),
  });
  const basic = { model: "scripted", maxRetries: 0 };
  return {
    server,
    sage,
    events,
    faults,
    warnings,
    bodies,
    answers,
    until: (type) => waitFor(type).promise,
    model: (fields) => new ChatOpenAI(sage.model({ ...basic, ...fields })),
    plainModel: (fields) =>
      new ChatOpenAI({
        ...basic,
        apiKey: "local",
        ...fields,
        configuration: { ...fields?.configuration, baseURL: server.url },
      }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Events as short lines, in order: what the tests compare. What is known beforehand is left out. */
export function lines(events: readonly Event[]): readonly string[] {
  return events.flatMap((event) => {
    switch (event.type) {
      case "topology":
      case "anchor":
        return [];
      case "run-start":
        return ["run-start"];
      case "run-end":
        return [`run-end ${event.status}`];
      case "agent-start":
        return [`+${event.agent}`];
      case "agent-end":
        return [`-${event.agent} ${event.status}`];
      case "next-agents":
        return [`${event.from} => ${event.agents.join(",")} (${event.source})`];
      case "request-start":
        return [`${event.agent}: request`];
      case "request-first-token":
        return [`${event.agent}: token`];
      case "request-end":
        return [`${event.agent}: ${event.status}`];
      case "tool-start":
        return [`${event.agent}: tool ${event.tool}`];
      case "tool-end":
        return [`${event.agent}: tool ${event.tool} ${event.status}`];
    }
  });
}

/** Who the server was told that each of its requests is from. */
export function seenBy(server: ScriptedServer): readonly (Identity | undefined)[] {
  return server.requests.map(({ body }) => body["seen_by"] as Identity | undefined);
}

/** The events of one type. */
export function only<T extends Event["type"]>(events: readonly Event[], type: T) {
  return events.filter((event): event is Extract<Event, { type: T }> => event.type === type);
}

/** The lines of the one run of a bench that was invoked with `session`, after checking that it left nothing behind. */
export function checked(bench: Bench): readonly string[] {
  expect(bench.faults).toEqual([]);
  expect(bench.sage.handler.pending).toBe(0);
  const [run] = only(bench.events, "run-start");
  for (const identity of seenBy(bench.server))
    expect(identity).toMatchObject({ run: run?.run, session: "thread" });
  return lines(bench.events);
}
