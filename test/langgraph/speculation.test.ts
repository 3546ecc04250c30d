import { HumanMessage } from "@langchain/core/messages";
import { type RunnableConfig, RunnableLambda } from "@langchain/core/runnables";
import {
  Annotation,
  Command,
  interrupt,
  MemorySaver,
  MessagesAnnotation,
  START,
  StateGraph,
} from "@langchain/langgraph";
import { expect, test } from "vitest";
import type { Outcome } from "../../src/runtime/action.ts";
import type { Host } from "../../src/langgraph/host.ts";
import { lines, only, startBench, type Bench } from "./bench.ts";
import { drain } from "./drain.ts";
import type { Script } from "./scripted-server.ts";
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
  await using bench: Bench = await startBench(
    ({ body }) => ({ text: `answer to ${String(body.messages?.at(-1)?.content)}` }),
    () => ({
      speculates: true,
      emit: (event) => {
        events.push(event);
        if (arm === "off" || event.type !== "request-start" || event.agent !== "router") return;
        bench.sage.speculate(
          [
            {
              type: "speculate",
              prefix: { agent: "researcher", run: event.run },
              from: "router",
              probability: 1,
              tokens: 10,
            },
          ],
          (_hint, outcome) => {
            outcomes.push(outcome);
            taken.resolve();
          },
        );
      },
    }),
  );
  const events: Bench["events"] = [];
  const callbacks: string[] = [];
  const log =
    (name: string) =>
    (...parameters: unknown[]) => {
      callbacks.push(`${name} ${normal(parameters)}`);
    };
  const own = {
    name: "own",
    awaitHandlers: true,
    handleChatModelStart: log("chat"),
    handleLLMNewToken: log("token"),
    handleLLMEnd: log("end"),
    handleChainStart: log("chain"),
    handleChainEnd: log("chain end"),
    handleCustomEvent: log("custom"),
    handleToolStart: log("tool"),
  };
  const model = bench.model({ tags: ["mine"], metadata: { whose: "mine" } });
  const local = bench.model({
    callbacks: [{ name: "local", awaitHandlers: true, handleLLMEnd: log("local end") }],
  });
  const graph = bench.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("router", async () => {
        await model.invoke("who?");
        if (arm === "finished") await researched.promise;
        if (arm === "under way") await halfway.promise;
        return {};
      })
      .addNode(
        "researcher",
        async ({ messages }, config: RunnableConfig & { writer?: (chunk: unknown) => void }) => {
          const first = await model.invoke(messages, config);
          config.writer?.({ step: 1 });
          halfway.resolve();
          if (arm === "under way") await taken.promise;
          const second = await local.invoke([...messages, first]);
          config.writer?.({ step: 2 });
          researched.resolve();
          return { messages: [first, second] };
        },
        { metadata: { kind: "worker" } },
      )
      .addNode("writer", () => ({}))
      .addEdge(START, "router")
      .addConditionalEdges("router", () => "researcher", ["researcher", "writer"])
      .compile({ checkpointer: new MemorySaver() }),
  );
  const chunks: unknown[] = [];
  const stream = await graph.stream(
    { messages: [{ role: "user", content: "hi", id: "one" }] },
    { configurable: { thread_id: "t" }, streamMode, callbacks: [own] },
  );
  for await (const chunk of stream) chunks.push(normal(chunk));
  return {
    chunks,
    callbacks,
    events: lines(events),
    requests: bench.server.requests.length,
    outcomes,
    faults: bench.faults,
  };
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

test.each(["finished", "under way"] as const)(
  "a run in which the next node was %s early is the same run",
  async (arm) => {
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
  },
);

interface Scene {
  readonly bench: Bench;
  readonly outcomes: readonly Outcome[];
  /** Resolves with what became of the early run. */
  readonly settled: Promise<Outcome>;
}

/** A bench on which the worker is started early with the router's first model call of each run. */
async function scene(script?: Script, given: Partial<Host> = {}): Promise<Scene & AsyncDisposable> {
  const outcomes: Outcome[] = [];
  const settled = signal<Outcome>();
  const bench: Bench = await startBench(script, () => ({
    speculates: true,
    emit: (event) => {
      bench.events.push(event);
      if (event.type !== "request-start" || event.agent !== "router") return;
      const prefix = { agent: "worker", run: event.run };
      bench.sage.speculate(
        [{ type: "speculate", prefix, from: "router", probability: 1, tokens: 13 }],
        (_hint, outcome) => {
          outcomes.push(outcome);
          settled.resolve(outcome);
        },
      );
    },
    ...given,
  }));
  return {
    bench,
    outcomes,
    settled: settled.promise,
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

const State = Annotation.Root({
  ...MessagesAnnotation.spec,
  log: Annotation<string[]>({ reducer: (before, more) => [...before, ...more], default: () => [] }),
});
type Worker = (state: typeof State.State, config: RunnableConfig) => unknown;

/** Router, then the worker or, when the router says so, the other. */
function routed(
  { bench }: Scene,
  worker: Worker,
  {
    decide = async () => {},
    goto = "worker",
    update = {},
  }: { decide?: () => Promise<void>; goto?: string; update?: object } = {},
) {
  const model = bench.model();
  return bench.sage.instrument(
    new StateGraph(State)
      .addNode("router", async () => {
        await model.invoke("who?");
        await decide();
        return update;
      })
      .addNode("worker", worker as never, {
        retryPolicy: { initialInterval: 1, maxAttempts: 2, jitter: false, logWarning: false },
      })
      .addNode("other", () => ({ log: ["other"] }))
      .addEdge(START, "router")
      .addConditionalEdges("router", () => goto, ["worker", "other"])
      .compile({ checkpointer: new MemorySaver() }),
  );
}
const thread = { configurable: { thread_id: "thread" } };

test("a wrong guess is aborted: its call never answers, and nobody hears of it", async () => {
  await using given = await scene(({ body }) =>
    body.messages?.at(-1)?.content === "work" ? { hang: true } : {},
  );
  const { bench, settled } = given;
  const aborted = signal<void>();
  const asked = signal<void>();
  const model = bench.model();
  const worker: Worker = async (_state, config) => {
    config.signal?.addEventListener("abort", () => aborted.resolve());
    asked.resolve();
    await model.invoke("work");
    return { log: ["worker"] };
  };
  const graph = routed(given, worker, { decide: () => asked.promise, goto: "other" });
  const result = await graph.invoke({ messages: [] }, thread);
  expect(result.log).toEqual(["other"]);
  await aborted.promise;
  expect(await settled).toEqual({ status: "cancelled", reason: "other is next", tokens: 13 });
  expect(lines(bench.events).filter((line) => line.includes("worker"))).toEqual([]);
  expect(bench.faults).toEqual([]);
  expect(bench.sage.handler.pending).toBe(0);
});

test("a state that the router changed is another input: the node runs again, with what it is", async () => {
  await using given = await scene();
  const ran = signal<void>();
  const seen: string[][] = [];
  const worker: Worker = ({ log }) => {
    seen.push(log);
    ran.resolve();
    return { log: ["worker"] };
  };
  const graph = routed(given, worker, { decide: () => ran.promise, update: { log: ["router"] } });
  const result = await graph.invoke({ messages: [] }, thread);
  expect(seen).toEqual([[], ["router"]]);
  expect(result.log).toEqual(["router", "worker"]);
  expect(given.outcomes).toMatchObject([{ status: "rejected" }]);
});

test("what an early node does to its input, and what the router does to its own, stays apart", async () => {
  await using given = await scene();
  const ran = signal<void>();
  const worker: Worker = ({ log }) => {
    log.push("mine");
    ran.resolve();
    return { log: [String(log.length)] };
  };
  const graph = routed(given, worker, { decide: () => ran.promise });
  const result = await graph.invoke({ messages: [] }, thread);
  // As without it: the node's own input is the list that the graph holds.
  expect(result.log.at(-1)).toBe("1");
  expect(given.outcomes).toMatchObject([{ status: "rejected" }]);
});

test("an error of an early run is dropped, and the node runs in its turn", async () => {
  await using given = await scene();
  let runs = 0;
  const worker: Worker = async () => {
    if (++runs === 1) throw new Error("too early");
    return { log: ["worker"] };
  };
  const graph = routed(given, worker, { decide: async () => void (await given.settled) });
  const result = await graph.invoke({ messages: [] }, thread);
  expect([result.log, runs]).toEqual([["worker"], 2]);
  expect(given.outcomes).toMatchObject([{ status: "failed", reason: "it failed: too early" }]);
});

test("an error after its turn has come is the node's own, and its retry policy applies", async () => {
  await using given = await scene();
  const started = signal<void>();
  let runs = 0;
  const worker: Worker = async () => {
    runs++;
    started.resolve();
    await given.settled;
    if (runs === 1) throw new Error("broken");
    return { log: ["worker"] };
  };
  const graph = routed(given, worker, { decide: () => started.promise });
  const result = await graph.invoke({ messages: [] }, thread);
  expect([result.log, runs]).toEqual([["worker"], 2]);
  expect(given.outcomes).toMatchObject([{ status: "applied" }]);
});

test.each(["before its turn", "after it"])(
  "a node that interrupts %s does so in its turn, and resumes",
  async (when) => {
    await using given = await scene();
    const { bench } = given;
    const started = signal<void>();
    const worker: Worker = async () => {
      started.resolve();
      if (when === "after it") await given.settled;
      return { log: [String(interrupt("may I?"))] };
    };
    const decide = async () => void (await (when === "after it" ? started.promise : given.settled));
    const graph = routed(given, worker, { decide });
    const halted = await graph.invoke({ messages: [] }, thread);
    expect(halted).toMatchObject({ __interrupt__: [{ value: "may I?" }] });
    const result = await graph.invoke(new Command({ resume: "yes" }), thread);
    expect(result.log).toEqual(["yes"]);
    expect(given.outcomes[0]?.status).toBe(when === "after it" ? "applied" : "ignored");
    expect(bench.faults).toEqual([]);
  },
);

test("a node that runs a graph of its own does so in its turn only", async () => {
  await using given = await scene();
  const inner = new StateGraph(State)
    .addNode("inside", () => ({ log: ["inside"] }))
    .addEdge(START, "inside")
    .compile();
  const worker: Worker = async ({ messages }) => ({ log: (await inner.invoke({ messages })).log });
  const graph = routed(given, worker, { decide: async () => void (await given.settled) });
  expect((await graph.invoke({ messages: [] }, thread)).log).toEqual(["inside"]);
  expect(given.outcomes).toMatchObject([
    { status: "ignored", reason: "it cannot run early: it uses the checkpointer" },
  ]);
});

test("a subgraph is never run early, and under streamEvents nothing is", async () => {
  await using given = await scene();
  const inner = new StateGraph(State)
    .addNode("inside", () => ({ log: ["inside"] }))
    .addEdge(START, "inside")
    .compile();
  const withGraph = routed(given, inner as never);
  expect((await withGraph.invoke({ messages: [] }, thread)).log).toContain("inside");
  const plain = routed(given, () => ({ log: ["worker"] }));
  await drain(plain.streamEvents({ messages: [] }, { ...thread, version: "v2" }));
  expect(given.outcomes).toEqual([
    { status: "ignored", reason: "a subgraph runs in its turn only" },
    { status: "ignored", reason: "streamEvents or streamLog watches the node while it runs" },
  ]);
});

test("a Command that an early node returns leads where it says", async () => {
  await using given = await scene();
  const ran = signal<void>();
  const worker: Worker = () => {
    ran.resolve();
    return new Command({ update: { log: ["worker"] }, goto: "other" });
  };
  const graph = routed(given, worker, { decide: () => ran.promise });
  expect((await graph.invoke({ messages: [] }, thread)).log).toEqual(["worker", "other"]);
  expect(given.outcomes).toMatchObject([{ status: "applied" }]);
});

test("the application's abort ends a node that ran early and was taken", async () => {
  await using given = await scene(({ body }) =>
    body.messages?.at(-1)?.content === "work" ? { hang: true } : {},
  );
  const started = signal<void>();
  const model = given.bench.model();
  const worker: Worker = async () => {
    started.resolve();
    await model.invoke("work");
    return {};
  };
  const graph = routed(given, worker, { decide: () => started.promise });
  const controller = new AbortController();
  void given.settled.then(() => controller.abort());
  await expect(graph.invoke({ messages: [] }, { ...thread, signal: controller.signal })).rejects.toThrow(
    /abort/i,
  );
  expect(given.outcomes).toMatchObject([{ status: "applied" }]);
});

test("nothing of a chain inside of it, of its model's own callbacks or of a client without callbacks is told before its turn", async () => {
  await using given = await scene();
  const { bench } = given;
  const told: string[] = [];
  const own = [
    {
      name: "local",
      awaitHandlers: true,
      handleChatModelStart: () => void told.push("start"),
      handleLLMEnd: () => void told.push("end"),
    },
  ];
  const chain = RunnableLambda.from((text: string) => [new HumanMessage(text)]).pipe(
    bench.model({ callbacks: own }),
  );
  const ran = signal<void>();
  const worker: Worker = async () => {
    const answer = await chain.invoke("work");
    await bench.sage
      .fetch(`${bench.server.url}/chat/completions`, {
        method: "POST",
        body: JSON.stringify({ model: "scripted", messages: [{ role: "user", content: "raw" }] }),
      })
      .then((response) => response.json());
    ran.resolve();
    return { log: [String(answer.content)] };
  };
  let before: readonly string[] = [];
  const decide = async () => {
    await ran.promise;
    before = [
      ...told,
      ...lines(bench.events).filter((line) => line.includes("worker")),
      ...bench.bodies.map(({ identity }) => identity.agent),
    ];
  };
  const graph = routed(given, worker, { decide });
  expect((await graph.invoke({ messages: [] }, thread)).log).toEqual(["ok"]);
  expect(before).toEqual(["router"]);
  expect(told).toEqual(["start", "end"]);
  expect(lines(bench.events).filter((line) => /^[+-]?worker\b(?! =>)/.test(line))).toEqual([
    "+worker",
    "worker: request",
    "worker: completed",
    "worker: request",
    "worker: completed",
    "-worker completed",
  ]);
  expect(bench.bodies.map(({ identity }) => identity.agent)).toEqual(["router", "worker", "worker"]);
});

test("a node that is marked free of side effects is declared so", async () => {
  await using bench = await startBench();
  const marked = bench.sage.wrapNode(() => ({}), { sideEffectFree: true });
  bench.sage.instrument(
    new StateGraph(State)
      .addNode("worker", marked)
      .addNode("other", () => ({}))
      .addEdge(START, "worker")
      .addEdge("worker", "other")
      .compile(),
  );
  expect(only(bench.events, "topology")[0]?.free).toEqual(["worker"]);
});
