import { Command, MessagesAnnotation, Send, START, StateGraph } from "@langchain/langgraph";
import { expect, test } from "vitest";
import { checked, seenBy, session, startBench, type Bench } from "./bench.ts";

const State = MessagesAnnotation;

function calls(bench: Bench) {
  const model = bench.model();
  return async () => ({ messages: [await model.invoke("hi")] });
}

/** A graph of one node that returns a Command for the graph around it. */
function handsOff(name: string, goto: string | Send[]) {
  return new StateGraph(State)
    .addNode(name, () => new Command({ graph: Command.PARENT, goto }), { ends: [] })
    .addEdge(START, name as never)
    .compile();
}

test.each([true, false])(
  "a node hands off to a sibling of its subgraph, which is no failure (instrumented: %s)",
  async (isInstrumented) => {
    await using bench = await startBench();
    const graph = new StateGraph(State)
      .addNode("team", handsOff("scout", "writer"), { ends: ["writer"] })
      .addNode("writer", calls(bench))
      .addEdge(START, "team")
      .compile();
    if (isInstrumented) bench.sage.instrument(graph);
    await graph.invoke(
      { messages: [] },
      { ...session, ...(!isInstrumented && { callbacks: [bench.sage.handler] }) },
    );
    expect(checked(bench)).toEqual([
      "run-start",
      "+team",
      "+team/scout",
      "team/scout => writer (handoff)",
      "-team/scout completed",
      "-team completed",
      "+writer",
      "writer: request",
      "writer: completed",
      ...(isInstrumented ? ["writer => __end__ (edge)"] : []),
      "-writer completed",
      "run-end completed",
    ]);
    expect(seenBy(bench.server)).toMatchObject([{ agent: "writer", namespace: "writer", step: 2 }]);
  },
);

test("a hand-off two levels down stays in the graph around it, one activation for each Send", async () => {
  await using bench = await startBench();
  const packets = [1, 2].map(() => new Send("clerk", { messages: [] }));
  const office = new StateGraph(State)
    .addNode("desk", handsOff("intern", packets), { ends: ["clerk"] })
    .addNode("clerk", calls(bench))
    .addEdge(START, "desk")
    .compile();
  const graph = bench.sage.instrument(
    new StateGraph(State).addNode("office", office).addEdge(START, "office").compile(),
  );
  await graph.invoke({ messages: [] }, session);
  const log = checked(bench);
  expect(log.slice(0, 9)).toEqual([
    "run-start",
    "+office",
    "+office/desk",
    "+office/desk/intern",
    "office/desk/intern => office/clerk (handoff)",
    "-office/desk/intern completed",
    "-office/desk completed",
    "+office/clerk",
    "+office/clerk",
  ]);
  expect(log.slice(-3)).toEqual(["office => __end__ (edge)", "-office completed", "run-end completed"]);
  expect(seenBy(bench.server)).toMatchObject(
    packets.map(() => ({ agent: "office/clerk", namespace: "office|clerk", step: 2 })),
  );
});
