import { MemorySaver, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import type { RunnableConfig } from "@langchain/core/runnables";
import { expect, test } from "vitest";
import type { Outcome } from "../../src/runtime/action.ts";
import { lines, startBench, type Bench } from "./bench.ts";
import { signal } from "./signal.ts";

interface Played {
  readonly chunks: readonly unknown[];
  readonly callbacks: readonly string[];
  readonly events: readonly string[];
  readonly requests: number;
  readonly outcomes: readonly Outcome[];
  readonly faults: readonly unknown[];
}

type Arm = "off" | "finished" | "under way";

/** A router that asks its model and then goes to the researcher, which runs early unless the arm is `off`. */
async function play(arm: Arm, streamMode: ("messages" | "updates" | "values" | "custom")[]): Promise<Played> {
  const outcomes: Outcome[] = [];
  const taken = signal<void>();
  const researched = signal<void>();
  const halfway = signal<void>();
  await using bench: Bench = await startBench(({ body }) => ({ text: `answer to ${String(body.messages?.at(-1)?.content)}` }), () => ({
    speculates: true,
    emit: (event) => {
      events.push(event);
      if (arm === "off" || event.type !== "request-start" || event.agent !== "router") return;
      bench.sage.speculate(
        { type: "speculate", prefix: { agent: "researcher", run: event.run }, from: "router", probability: 1, tokens: 10 },
        (outcome) => {
          outcomes.push(outcome);
          taken.resolve();
        },
      );
    },
  }));
  const events: Bench["events"] = [];
  const callbacks: string[] = [];
  const log = (name: string) => (...parameters: unknown[]) => {
    callbacks.push(`${name} ${normal(parameters)}`);
  };
  const own = { name: "own", awaitHandlers: true, handleChatModelStart: log("chat"), handleLLMNewToken: log("token"), handleLLMEnd: log("end"), handleChainStart: log("chain"), handleChainEnd: log("chain end"), handleCustomEvent: log("custom"), handleToolStart: log("tool") };
  const model = bench.model({ tags: ["mine"], metadata: { whose: "mine" } });
  const local = bench.model({ callbacks: [{ name: "local", awaitHandlers: true, handleLLMEnd: log("local end") }] });
  const graph = bench.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("router", async () => {
        await model.invoke("who?");
        if (arm === "finished") await researched.promise;
        if (arm === "under way") await halfway.promise;
        return {};
      })
      .addNode("researcher", async ({ messages }, config: RunnableConfig & { writer?: (chunk: unknown) => void }) => {
        const first = await model.invoke(messages, config);
        config.writer?.({ step: 1 });
        halfway.resolve();
        if (arm === "under way") await taken.promise;
        const second = await local.invoke([...messages, first]);
        config.writer?.({ step: 2 });
        researched.resolve();
        return { messages: [first, second] };
      }, { metadata: { kind: "worker" } })
      .addNode("writer", () => ({}))
      .addEdge(START, "router")
      .addConditionalEdges("router", () => "researcher", ["researcher", "writer"])
      .compile({ checkpointer: new MemorySaver() }),
  );
  const chunks: unknown[] = [];
  const stream = await graph.stream({ messages: [{ role: "user", content: "hi", id: "one" }] }, { configurable: { thread_id: "t" }, streamMode, callbacks: [own] });
  for await (const chunk of stream) chunks.push(normal(chunk));
  return { chunks, callbacks, events: lines(events), requests: bench.server.requests.length, outcomes, faults: bench.faults };
}

/** JSON in which ids that differ from run to run are numbered in the order in which they come. */
const ids = new Map<string, string>();
function normal(value: unknown): string {
  const text = JSON.stringify(value).replace(/"nodeFirstAttemptTime":\d+|127.0.0.1:\d+/g, "?");
  return text.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, (id) => {
    if (!ids.has(id)) ids.set(id, `#${ids.size}`);
    return ids.get(id) as string;
  });
}

test.each(["finished", "under way"] as const)("a run in which the next node was %s early is the same run", async (arm) => {
  for (const mode of ["values", "updates", "messages", "custom"] as const) {
    ids.clear();
    const off = await play("off", [mode]);
    ids.clear();
    const on = await play(arm, [mode]);
    expect(on.faults).toEqual([]);
    expect(on.outcomes.map(({ status }) => status)).toEqual(["applied"]);
    expect(on.requests).toBe(off.requests);
    expect(on.chunks).toEqual(off.chunks);
    expect(on.callbacks).toEqual(off.callbacks);
    expect(on.events).toEqual(off.events);
  }
});
