import { RunCollectorCallbackHandler } from "@langchain/core/tracers/run_collector";
import { FakeListChatModel } from "@langchain/core/utils/testing";
import { interrupt, MemorySaver, MessagesAnnotation, StateGraph } from "@langchain/langgraph";
import { expect, test } from "vitest";
import { endingOf } from "../../../src/sim/ending.ts";
import { read } from "./trace-file.ts";

/** Runs as LangChain's tracers keep them, that of LangSmith among them. */
type Traced = RunCollectorCallbackHandler["tracedRuns"][number];

const ends = {
  completed: () => ({}),
  interrupted: () => {
    interrupt("Go on?");
    return {};
  },
  failed: () => {
    throw new Error("No room.");
  },
  cancelled: (controller: AbortController) => {
    // LangGraph never ends a run for its observers that is aborted in the first turn of a node.
    setTimeout(() => controller.abort(), 20);
    return new Promise<object>(() => {});
  },
};

async function traced(act: (controller: AbortController) => object | Promise<object>): Promise<Traced> {
  const model = new FakeListChatModel({ responses: ["a"] });
  const controller = new AbortController();
  const graph = new StateGraph(MessagesAnnotation)
    .addNode("writer", async ({ messages }) => ({ messages: [await model.invoke(messages)] }))
    .addNode("reviewer", () => act(controller))
    .addEdge("__start__", "writer")
    .addEdge("writer", "reviewer")
    .compile({ checkpointer: new MemorySaver() });
  const collector = new RunCollectorCallbackHandler();
  const { signal } = controller;
  const config = { callbacks: [collector], configurable: { thread_id: "t" }, signal };
  await graph.invoke({ messages: [{ role: "user", content: "Write." }] }, config).catch(() => {});
  await expect.poll(() => collector.tracedRuns.length).toBe(1);
  return collector.tracedRuns[0] as Traced;
}

/** As LangSmith gives it, with the runs inside of it. */
function exported({ child_runs: inner = [], ...run }: Traced, trace: string): Record<string, unknown> {
  return { ...run, trace_id: trace, child_runs: inner.map((one) => exported(one, trace)) };
}

test.each(Object.entries(ends))(
  "a real run that is %s is read as that from LangSmith",
  async (status, act) => {
    const root = await traced(act);
    const { runs } = await read([exported(root, root.id)]);
    expect(runs).toHaveLength(1);
    // What LangSmith keeps no error of has come to its end.
    expect(runs[0]?.status ?? "completed").toBe(status);
  },
);

const at = { startTime: "2026-01-01T00:00:00Z", endTime: "2026-01-01T00:00:01Z", traceId: "t" };

test("a node that asks a human tells so in Langfuse, of a run that has no error", async () => {
  const error = { level: "ERROR", statusMessage: 'GraphInterrupt: [\n  {\n    "value": "Go on?"\n  }\n]' };
  const input = [{ role: "user", content: "Write." }];
  const { runs } = await read([
    { id: "root", type: "SPAN", ...at, level: "DEFAULT" },
    { id: "node", type: "SPAN", ...at, ...error, parentObservationId: "root" },
    { id: "call", type: "GENERATION", ...at, input, output: "a", parentObservationId: "root" },
  ]);
  expect(runs.map(({ status }) => status)).toEqual(["interrupted"]);
});

test.each([
  ["GraphInterrupt: []\n    at interrupt (file:///graph.js:1:1)", "interrupted"],
  ["Abort\n\nError: Abort\n    at EventTarget.listener", "cancelled"],
  ["Error: Aborted", "cancelled"],
  ["This operation was aborted\n\nAbortError: This operation was aborted", "cancelled"],
  ["Error: Request was aborted.", "cancelled"],
  ["No room.\n\nError: No room.\n    at writer", "failed"],
  ["Aborted payment of 3 bills", "failed"],
  ["", "failed"],
])("an error %j is read as %s", (text, status) => {
  expect(endingOf(text)).toBe(status);
});
