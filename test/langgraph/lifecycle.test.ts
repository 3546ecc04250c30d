import { once } from "node:events";
import { Command, interrupt, MemorySaver, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import type { ChatOpenAI } from "@langchain/openai";
import { tool } from "langchain";
import { afterEach, expect, test, vi } from "vitest";
import { z } from "zod";
import { lines, only, seenBy, session, startBench, type Bench } from "./bench.ts";
import { signal } from "./signal.ts";

const State = MessagesAnnotation;

afterEach(() => void vi.useRealTimers());

function settled(bench: Bench): readonly string[] {
  expect(bench.faults).toEqual([]);
  expect(bench.sage.handler.pending).toBe(0);
  return lines(bench.events);
}

test("interrupt and resume are two runs of one session, the first one interrupted", async () => {
  await using bench = await startBench();
  const model = bench.model();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("review", async () => {
        const answer: string = interrupt("fine?");
        return { messages: [await model.invoke(answer)] };
      })
      .addEdge(START, "review")
      .compile({ checkpointer: new MemorySaver() }),
  );
  await graph.invoke({ messages: [] }, session);
  expect(settled(bench)).toEqual(["run-start", "+review", "-review interrupted", "run-end interrupted"]);
  bench.events.length = 0;
  await graph.invoke(new Command({ resume: "yes" }), session);
  expect(settled(bench)).toEqual([
    "run-start",
    "+review",
    "review: request",
    "review: completed",
    "review => __end__ (edge)",
    "-review completed",
    "run-end completed",
  ]);
  expect(seenBy(bench.server)).toMatchObject([{ session: "thread", step: 1 }]);
});

test("an interrupt inside a subgraph's agent interrupts it, its node and the run", async () => {
  await using bench = await startBench(() => ({ tool: { name: "approve", arguments: {} } }));
  const approve = tool(() => interrupt("may I?") as string, {
    name: "approve",
    description: "Asks a human.",
    schema: z.object({}),
  });
  const agent = createReactAgent({ llm: bench.model(), tools: [approve], name: "clerk" });
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("desk", agent)
      .addEdge(START, "desk")
      .compile({ checkpointer: new MemorySaver() }),
  );
  await graph.invoke({ messages: [{ role: "user", content: "x" }] }, session);
  expect(settled(bench)).toEqual([
    "run-start",
    "+desk",
    "desk: request",
    "desk: completed",
    "desk: tool approve",
    "desk: tool approve interrupted",
    "-desk interrupted",
    "run-end interrupted",
  ]);
});

test("updateState is no run, whatever its conditional edges do, and going on from an earlier checkpoint is one", async () => {
  await using bench = await startBench();
  const model = bench.model();
  const ask = async () => ({ messages: [await model.invoke("x")] });
  const graph = bench.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("planner", ask)
      .addNode("writer", ask)
      .addEdge(START, "planner")
      .addConditionalEdges("planner", async () => (await model.invoke("x"), "writer"), ["writer"])
      .compile({ checkpointer: new MemorySaver() }),
  );
  await graph.invoke({ messages: [] }, session);
  const before = bench.events.length;
  const forked = await graph.updateState(session, { messages: ["changed"] }, "planner");
  expect(bench.server.requests).toHaveLength(4);
  expect(bench.events.slice(before)).toEqual([]);
  expect(bench.sage.handler.pending).toBe(0);
  await graph.invoke(null, forked);
  expect(lines(bench.events.slice(before))).toEqual([
    "run-start",
    "+writer",
    "writer: request",
    "writer: completed",
    "writer => __end__ (edge)",
    "-writer completed",
    "run-end completed",
  ]);
});

test("interruptBefore and interruptAfter, which throw nothing, interrupt the run", async () => {
  for (const when of [{ interruptBefore: ["b" as const] }, { interruptAfter: ["a" as const] }]) {
    await using bench = await startBench();
    const graph = bench.sage.instrument(
      new StateGraph(State)
        .addNode("a", () => ({}))
        .addNode("b", () => ({}))
        .addEdge(START, "a")
        .addEdge("a", "b")
        .compile({ checkpointer: new MemorySaver(), ...when }),
    );
    await graph.invoke({ messages: [] }, session);
    expect(settled(bench)).toEqual([
      "run-start",
      "+a",
      "a => b (edge)",
      "-a completed",
      "run-end interrupted",
    ]);
    bench.events.length = 0;
    await graph.invoke(null, session);
    expect(settled(bench).at(-1)).toBe("run-end completed");
  }
});

test("each retry of a node is an activation of its own", async () => {
  await using bench = await startBench((_request, index) => (index === 0 ? { status: 503 } : { text: "ok" }));
  const model = bench.model();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("flaky", async () => ({ messages: [await model.invoke("hi")] }), {
        retryPolicy: { maxAttempts: 2, initialInterval: 1, jitter: false, logWarning: false },
      })
      .addEdge(START, "flaky")
      .compile(),
  );
  await graph.invoke({ messages: [] }, session);
  expect(settled(bench)).toEqual([
    "run-start",
    "+flaky",
    "flaky: request",
    "flaky: failed",
    "-flaky failed",
    "+flaky",
    "flaky: request",
    "flaky: completed",
    "flaky => __end__ (edge)",
    "-flaky completed",
    "run-end completed",
  ]);
  expect(new Set(only(bench.events, "agent-start").map(({ activation }) => activation)).size).toBe(2);
});

test("a tool that throws has failed, and its agent goes on", async () => {
  await using bench = await startBench((_request, index) =>
    index === 0 ? { tool: { name: "shred", arguments: {} } } : { text: "done" },
  );
  const shred = tool(
    () => {
      throw new Error("jammed");
    },
    { name: "shred", description: "Shreds.", schema: z.object({}) },
  );
  const agent = createReactAgent({ llm: bench.model(), tools: [shred], name: "clerk" });
  await bench.sage.instrument(agent).invoke({ messages: [{ role: "user", content: "x" }] }, session);
  expect(settled(bench).slice(4)).toEqual([
    "clerk: tool shred",
    "clerk: tool shred failed",
    "clerk: request",
    "clerk: completed",
    "clerk => __end__ (router)",
    "-clerk completed",
    "run-end completed",
  ]);
});

function hurried(model: ChatOpenAI) {
  return new StateGraph(State)
    .addNode("slow", async (_state, config) => ({ messages: [await model.invoke("hi", config)] }), {
      timeout: 60_000,
    })
    .addEdge(START, "slow")
    .compile();
}

test("a node that takes longer than its timeout fails the run as it does without cachesage", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  // Its time is over once its call has come here.
  await using bench = await startBench(() => {
    vi.advanceTimersByTime(60_000);
    return { hang: true };
  });
  const error = { name: "NodeTimeoutError" };
  await expect(hurried(bench.plainModel()).invoke({ messages: [] })).rejects.toMatchObject(error);
  const graph = bench.sage.instrument(hurried(bench.model()));
  await expect(graph.invoke({ messages: [] })).rejects.toMatchObject(error);
  const log = settled(bench);
  expect(log).toContain("-slow cancelled");
  expect(log).toContain("slow: cancelled");
  expect(log.at(-1)).toBe("run-end failed");
});

test("an error of the application passes unchanged and fails the run", async () => {
  await using bench = await startBench();
  const failure = new Error("out of paper");
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("printer", () => {
        throw failure;
      })
      .addEdge(START, "printer")
      .compile(),
  );
  await expect(graph.invoke({ messages: [] })).rejects.toBe(failure);
  expect(settled(bench)).toEqual(["run-start", "+printer", "-printer failed", "run-end failed"]);
});

test("a sibling of a failed node is cancelled with the run", async () => {
  await using bench = await startBench(() => ({ hang: true }));
  const model = bench.model();
  const arrived = signal();
  bench.server.script = () => {
    arrived.resolve();
    return { hang: true };
  };
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("waits", async (_state, config) => ({ messages: [await model.invoke("hi", config)] }))
      .addNode("fails", async () => {
        await arrived.promise;
        throw new Error("broken");
      })
      .addEdge(START, "waits")
      .addEdge(START, "fails")
      .compile(),
  );
  await expect(graph.invoke({ messages: [] })).rejects.toThrow("broken");
  const log = settled(bench);
  expect(log).toContain("-fails failed");
  expect(log).toContain("-waits cancelled");
  expect(log).toContain("waits: cancelled");
  expect(log.at(-1)).toBe("run-end failed");
});

test("a run aborted in the first turn of its node is cancelled, although LangGraph never says so", async () => {
  await using bench = await startBench();
  const controller = new AbortController();
  const never = signal();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("slow", async () => {
        controller.abort();
        await never.promise;
        return {};
      })
      .addEdge(START, "slow")
      .compile(),
  );
  await expect(graph.invoke({ messages: [] }, { signal: controller.signal })).rejects.toThrow(/abort/i);
  await bench.until("run-end");
  expect(settled(bench)).toEqual(["run-start", "+slow", "-slow cancelled", "run-end cancelled"]);
});

test("what a node left running is known by its identity and told no more after the run", async () => {
  await using bench = await startBench();
  const model = bench.model();
  const ended = signal();
  const done = signal<unknown>();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("notes", () => {
        void ended.promise.then(async () => done.resolve((await model.invoke("later")).content));
        return {};
      })
      .addEdge(START, "notes")
      .compile(),
  );
  await graph.invoke({ messages: [] }, session);
  const log = settled(bench);
  ended.resolve();
  expect(await done.promise).toBe("ok");
  expect(settled(bench)).toEqual(log);
  expect(seenBy(bench.server)).toMatchObject([{ agent: "notes", session: "thread" }]);
});

test.each([true, false])(
  "a graph that a node left for later is a run of its own, instrumented: %s",
  async (isInstrumented) => {
    await using bench = await startBench();
    const model = bench.model();
    const ended = signal();
    const done = signal<unknown>();
    const own = new StateGraph(State)
      .addNode("memory", async () => ({ messages: [await model.invoke("later")] }))
      .addEdge(START, "memory")
      .compile({ name: "background" });
    const background = isInstrumented ? bench.sage.instrument(own) : own;
    const graph = bench.sage.instrument(
      new StateGraph(State)
        .addNode("notes", () => {
          void ended.promise.then(async () => done.resolve(await background.invoke({ messages: [] })));
          return {};
        })
        .addEdge(START, "notes")
        .compile(),
    );
    await graph.invoke({ messages: [] }, session);
    const before = bench.events.length;
    ended.resolve();
    await done.promise;
    const events = bench.events.slice(before);
    expect(lines(events).filter((line) => !line.includes("=>"))).toEqual([
      "run-start",
      "+notes/memory",
      "notes/memory: request",
      "notes/memory: completed",
      "-notes/memory completed",
      "run-end completed",
    ]);
    expect(only(events, "run-start")).toMatchObject([{ graph: "background", session: "thread" }]);
    expect(bench.warnings).toEqual([]);
    expect(bench.sage.handler.pending).toBe(0);
  },
);

test("aborting a request that hangs cancels request, agent and run", async () => {
  await using bench = await startBench();
  const model = bench.model();
  const controller = new AbortController();
  bench.server.script = () => {
    setImmediate(() => controller.abort());
    return { hang: true };
  };
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("slow", async (_state, config) => ({ messages: [await model.invoke("hi", config)] }))
      .addEdge(START, "slow")
      .compile(),
  );
  await expect(graph.invoke({ messages: [] }, { signal: controller.signal })).rejects.toThrow(/abort/i);
  await bench.until("run-end");
  expect(settled(bench)).toEqual([
    "run-start",
    "+slow",
    "slow: request",
    "-slow cancelled",
    "slow: cancelled",
    "run-end cancelled",
  ]);
});

test("a call that is aborted while its answer streams is cancelled, and the run goes on", async () => {
  await using bench = await startBench(() => ({ flood: 1000 }));
  const model = bench.model();
  const controller = new AbortController();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("impatient", async () => {
        await expect(model.invoke("hi", { signal: controller.signal })).rejects.toThrow(/abort/i);
        return {};
      })
      .addEdge(START, "impatient")
      .compile(),
  );
  for await (const token of await graph.stream({ messages: [] }, { streamMode: "messages" }))
    if (token) controller.abort();
  const log = settled(bench);
  expect(log.filter((line) => line.startsWith("impatient: ")).at(-1)).toBe("impatient: cancelled");
  expect(log.at(-1)).toBe("run-end completed");
});

test("a stream that its consumer leaves half-way ends with the run at the latest", async () => {
  await using bench = await startBench(() => ({ text: "a long answer" }));
  const model = bench.model();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("skims", async () => {
        let chunks = 0;
        for await (const chunk of await model.stream("hi")) if (chunk && ++chunks === 4) break;
        return {};
      })
      .addEdge(START, "skims")
      .compile(),
  );
  await graph.invoke({ messages: [] });
  const log = settled(bench);
  expect(log.filter((line) => line.startsWith("skims: "))).toEqual([
    "skims: request",
    "skims: token",
    "skims: cancelled",
  ]);
  expect(log.at(-1)).toBe("run-end completed");
});

test("leaving the graph's own stream ends the run", async () => {
  await using bench = await startBench();
  const blocked = signal();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("a", () => ({}))
      .addNode("b", async () => {
        await blocked.promise;
        return {};
      })
      .addEdge(START, "a")
      .addEdge("a", "b")
      .compile(),
  );
  const controller = new AbortController();
  const aborted = once(controller.signal, "abort");
  const read = async () => {
    for await (const chunk of await graph.stream({ messages: [] }, { signal: controller.signal }))
      if ("a" in chunk) controller.abort();
  };
  await expect(read()).rejects.toThrow(/abort/i);
  await aborted;
  await bench.until("run-end");
  blocked.resolve();
  expect(settled(bench).at(-1)).toBe("run-end cancelled");
});
