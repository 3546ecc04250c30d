import {
  Command,
  INTERRUPT,
  interrupt,
  isGraphInterrupt,
  isInterrupted,
  MemorySaver,
  MessagesAnnotation,
  START,
  StateGraph,
} from "@langchain/langgraph";
import { createReactAgent, ToolNode } from "@langchain/langgraph/prebuilt";
import { AIMessage, createAgent, tool } from "langchain";
import { expect, test, vi } from "vitest";
import { z } from "zod";
import type { Script } from "../langgraph/scripted-server.ts";
import { scriptedSage, type ScriptedSage } from "./scripted-sage.ts";

const input = { messages: [{ role: "user" as const, content: "Give us our money back." }] };
const policies = { safety: { approvals: [{ tool: "refund", argument: "amount", above: 100 }] } };

interface Question {
  readonly args: { readonly amount: number };
}

/** A tool that keeps what it was called with. */
function refund() {
  const paid: number[] = [];
  const own = tool(({ amount }: { amount: number }) => `refunded ${paid.push(amount)}`, {
    name: "refund",
    description: "Pays money back.",
    schema: z.object({ amount: z.number() }),
  });
  return { own, paid };
}

/** All of the hosts, whose own types differ. */
interface Invocable {
  invoke(given: unknown, config: object): Promise<{ messages: { status?: string; type: string }[] }>;
}

type Own = ReturnType<typeof refund>["own"];

const messageWith = (amounts: readonly number[]) =>
  new AIMessage({
    content: "",
    tool_calls: amounts.map((amount, i) => ({ name: "refund", args: { amount }, id: `call_${i}` })),
  });

/** A model that makes all of these calls in one message, and then says it is done. */
function callsAtOnce(amounts: readonly number[]): Script {
  const calls = amounts.map((amount, i) => ({ name: "refund", arguments: { amount }, id: `call_${i}` }));
  return ({ body }) =>
    (body.messages ?? []).some(({ role }) => role === "tool") ? { text: "done" } : { tools: calls };
}

const checkpointer = () => new MemorySaver();

const hosts = {
  ToolNode: (_scripted: ScriptedSage, own: Own, amounts: readonly number[]) =>
    new StateGraph(MessagesAnnotation)
      .addNode("clerk", () => ({ messages: [messageWith(amounts)] }))
      .addNode("tools", new ToolNode([own]))
      .addEdge(START, "clerk")
      .addEdge("clerk", "tools")
      .compile({ checkpointer: checkpointer() }),
  createReactAgent: ({ model }: ScriptedSage, own: Own) =>
    createReactAgent({ llm: model(), tools: [own], name: "clerk", checkpointer: checkpointer() }),
  "createReactAgent v2": ({ model }: ScriptedSage, own: Own) =>
    createReactAgent({ llm: model(), tools: [own], version: "v2", checkpointer: checkpointer() }),
  createAgent: ({ model }: ScriptedSage, own: Own) =>
    createAgent({ model: model(), tools: [own], name: "clerk", checkpointer: checkpointer() }),
  "createAgent v1": ({ model }: ScriptedSage, own: Own) =>
    createAgent({ model: model(), tools: [own], version: "v1", checkpointer: checkpointer() }),
};

/** Runs a graph to its end; `answers` are by amount, and `asked` lists what was asked at each interrupt. */
async function answered(
  host: keyof typeof hosts,
  amounts: readonly number[],
  answers: Readonly<Record<number, unknown>>,
) {
  const { own, paid } = refund();
  await using scripted = await scriptedSage(policies, callsAtOnce(amounts));
  const graph = scripted.sage.instrument(hosts[host](scripted, own, amounts)) as unknown as Invocable;
  const config = { configurable: { thread_id: "1" } };
  const asked: number[][] = [];
  const paidBefore: number[][] = [];
  let result = await graph.invoke(input, config);
  while (isInterrupted<Question>(result)) {
    const pending = result[INTERRUPT].map(({ id, value }) => [id, value?.args.amount ?? 0] as const);
    asked.push(pending.map(([, amount]) => amount));
    paidBefore.push([...paid]);
    if (asked.length > 4) throw new Error("asked again and again");
    const [first] = pending;
    const byId = Object.fromEntries(pending.map(([id, amount]) => [id, answers[amount]]));
    const resume = pending.length > 1 ? byId : answers[first?.[1] ?? 0];
    result = await graph.invoke(new Command({ resume }), config);
  }
  const outcomes = result.messages.flatMap(({ type, status }) => (type === "tool" ? [status] : []));
  const verdicts = scripted.verdicts().map((verdict) => verdict.split(" ")[1]);
  return { asked, paidBefore, paid, outcomes, verdicts };
}

for (const host of Object.keys(hosts) as (keyof typeof hosts)[]) {
  test.each([
    ["both approved", { 101: true, 102: { approved: true } }, [101, 102]],
    ["the first rejected", { 101: false, 102: true }, [102]],
    ["the second rejected", { 101: true, 102: false }, [101]],
    ["both rejected", { 101: false, 102: false }, []],
  ])(`two calls at once above the threshold in ${host}: %s`, async (_which, answers, expected) => {
    const { asked, paidBefore, paid, outcomes, verdicts } = await answered(host, [101, 102], answers);
    expect(asked.flat().toSorted()).toEqual([101, 102]);
    // Nothing has run while there was still something to ask.
    expect(paidBefore.flat()).toEqual([]);
    expect(paid.toSorted()).toEqual(expected);
    expect(outcomes).toEqual([101, 102].map((amount) => (expected.includes(amount) ? "success" : "error")));
    expect(verdicts.filter((verdict) => verdict === "admit")).toHaveLength(expected.length);
    expect(verdicts.filter((verdict) => verdict === "deny")).toHaveLength(2 - expected.length);
  });

  test(`one call above the threshold in ${host}`, async () => {
    expect(await answered(host, [101], { 101: true })).toMatchObject({ asked: [[101]], paid: [101] });
    expect(await answered(host, [101], { 101: false })).toMatchObject({ asked: [[101]], paid: [] });
  });
}

test("of equal calls at once as many run as were approved", async () => {
  for (const [answers, count] of [
    [[true, true, true], 3],
    [[false, true, false], 1],
  ] as const) {
    const { own, paid } = refund();
    await using scripted = await scriptedSage(policies);
    const graph = scripted.sage.instrument(hosts.ToolNode(scripted, own, [500, 500, 500]));
    const config = { configurable: { thread_id: "1" } };
    await graph.invoke(input, config);
    for (const resume of answers) {
      expect(paid).toEqual([]);
      await graph.invoke(new Command({ resume }), config);
    }
    expect(paid).toHaveLength(count);
    expect((await graph.getState(config)).next).toEqual([]);
  }
});

test("answers are given by the interrupts' ids as well, and to another process", async () => {
  const { own, paid } = refund();
  const saver = checkpointer();
  const config = { configurable: { thread_id: "1" } };
  const step = async (given: unknown) => {
    // What a process remembers is in its modules.
    vi.resetModules();
    const { scriptedSage: fresh } = await import("./scripted-sage.ts");
    await using scripted = await fresh(policies);
    const graph = hosts.ToolNode(scripted, own, [101, 102, 103]);
    graph.checkpointer = saver;
    const instrumented = scripted.sage.instrument(graph) as unknown as Invocable;
    const result: unknown = await instrumented.invoke(given, config);
    const [one] = isInterrupted<Question>(result) ? result[INTERRUPT] : [];
    return { id: String(one?.id), amount: one?.value?.args.amount };
  };
  let asked = await step(input);
  for (const amount of [101, 102, 103]) {
    expect(asked.amount).toBe(amount);
    expect(paid).toEqual([]);
    asked = await step(new Command({ resume: { [asked.id]: amount !== 102 } }));
  }
  expect(asked.amount).toBeUndefined();
  expect(paid).toEqual([101, 103]);
});

test("a node asks one after the other, and its own interrupts get their own answers", async () => {
  const { own, paid } = refund();
  await using scripted = await scriptedSage(policies);
  const gated = scripted.sage.tool(own);
  const answers: unknown[] = [];
  const graph = scripted.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("clerk", async () => {
        answers.length = 0;
        await gated.invoke({ amount: 101 });
        answers.push(interrupt("Whose money?"));
        await Promise.all([gated.invoke({ amount: 102 }), gated.invoke({ amount: 103 })]);
        answers.push(interrupt("Sure?"));
        return {};
      })
      .addEdge(START, "clerk")
      .compile({ checkpointer: checkpointer() }),
  );
  const config = { configurable: { thread_id: "1" } };
  const asked: unknown[] = [];
  let result: unknown = await graph.invoke(input, config);
  for (const resume of [true, "ours", true, true, "yes"]) {
    expect(isInterrupted<Question>(result)).toBe(true);
    if (!isInterrupted<Question>(result)) break;
    const [one] = result[INTERRUPT];
    asked.push(one?.value?.args?.amount ?? one?.value);
    result = await graph.invoke(new Command({ resume }), config);
  }
  expect(asked).toEqual([101, "Whose money?", 102, 103, "Sure?"]);
  expect(answers).toEqual(["ours", "yes"]);
  // What a node did before it asks again it does again; what is asked at once is held until all is answered.
  expect(paid.filter((amount) => amount !== 101).toSorted()).toEqual([102, 102, 103, 103]);
});

const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

test("calls that come up in another order when the node runs again keep their own answers", async () => {
  const { own, paid } = refund();
  await using scripted = await scriptedSage(policies);
  const gated = scripted.sage.tool(own);
  let late = 102;
  const pay = async (amount: number) => {
    await turns(amount === late ? 20 : 0);
    return gated.invoke({ amount }).catch((error: unknown) => {
      if (isGraphInterrupt(error)) throw error;
    });
  };
  const graph = scripted.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("clerk", async () => {
        await Promise.all([pay(101), pay(102)]);
        return {};
      })
      .addEdge(START, "clerk")
      .compile({ checkpointer: checkpointer() }),
  );
  const config = { configurable: { thread_id: "1" } };
  const first = await graph.invoke(input, config);
  expect(first).toMatchObject({ [INTERRUPT]: [{ value: { args: { amount: 101 } } }] });
  await turns(30);
  late = 101;
  const second = await graph.invoke(new Command({ resume: false }), config);
  expect(second).toMatchObject({ [INTERRUPT]: [{ value: { args: { amount: 102 } } }] });
  await turns(30);
  expect(paid).toEqual([]);
  expect(isInterrupted(await graph.invoke(new Command({ resume: true }), config))).toBe(false);
  expect(paid).toEqual([102]);
});

test("a call that comes up later than one that is approved is asked about, and that one runs again", async () => {
  const { own, paid } = refund();
  await using scripted = await scriptedSage(policies);
  const gated = scripted.sage.tool(own);
  const graph = scripted.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("clerk", async () => {
        await Promise.all([
          gated.invoke({ amount: 101 }),
          turns(20).then(() => gated.invoke({ amount: 102 })),
        ]);
        return {};
      })
      .addEdge(START, "clerk")
      .compile({ checkpointer: checkpointer() }),
  );
  const config = { configurable: { thread_id: "1" } };
  await graph.invoke(input, config);
  await turns(30);
  const second = await graph.invoke(new Command({ resume: true }), config);
  expect(second).toMatchObject({ [INTERRUPT]: [{ value: { args: { amount: 102 } } }] });
  expect(paid).toEqual([101]);
  await graph.invoke(new Command({ resume: true }), config);
  expect(paid).toEqual([101, 101, 102]);
});

test("an answer to the app's own interrupt is none to a question beside it", async () => {
  const { own, paid } = refund();
  await using scripted = await scriptedSage(policies);
  const gated = scripted.sage.tool(own);
  const answers: unknown[] = [];
  const ask = async () => void answers.push(interrupt("Proceed?"));
  const graph = scripted.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("clerk", async () => {
        await Promise.all([gated.invoke({ amount: 101 }), ask()]);
        return {};
      })
      .addEdge(START, "clerk")
      .compile({ checkpointer: checkpointer() }),
  );
  const config = { configurable: { thread_id: "1" } };
  expect(await graph.invoke(input, config)).toMatchObject({ [INTERRUPT]: [{ value: "Proceed?" }] });
  const second = await graph.invoke(new Command({ resume: true }), config);
  expect(second).toMatchObject({ [INTERRUPT]: [{ value: { args: { amount: 101 } } }] });
  expect(paid).toEqual([]);
  await graph.invoke(new Command({ resume: false }), config).catch(() => {});
  expect(paid).toEqual([]);
  expect(answers).toEqual([true, true]);
});

test("a node that failed after an approval is tried again with it", async () => {
  const { own, paid } = refund();
  await using scripted = await scriptedSage(policies);
  const gated = scripted.sage.tool(own);
  let fails = 1;
  const graph = scripted.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode(
        "clerk",
        async () => {
          await Promise.all([gated.invoke({ amount: 101 }), gated.invoke({ amount: 102 })]);
          if (fails-- > 0) throw new Error("the line is busy");
          return {};
        },
        { retryPolicy: { maxAttempts: 2, initialInterval: 1, jitter: false, logWarning: false } },
      )
      .addEdge(START, "clerk")
      .compile({ checkpointer: checkpointer() }),
  );
  const config = { configurable: { thread_id: "1" } };
  await graph.invoke(input, config);
  await graph.invoke(new Command({ resume: true }), config);
  expect(paid).toEqual([]);
  await graph.invoke(new Command({ resume: true }), config);
  expect(paid.toSorted()).toEqual([101, 101, 102, 102]);
});
