import { MemorySaver, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import { createAgent, tool } from "langchain";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { CacheSageOptions } from "../../src/index.ts";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import toolMemo from "../../src/policies/tool-memo.ts";
import type { ToolCallSubject } from "../../src/runtime/call.ts";
import { LivePrefixes } from "../../src/runtime/live-prefixes.ts";
import { callsTool, scriptedSage, type ScriptedSage } from "./scripted-sage.ts";

const input = { messages: [{ role: "user" as const, content: "Will it rain?" }] };

function weather(answer: (city: string) => unknown = (city) => `Sunny in ${city}.`) {
  const calls: string[] = [];
  const own = tool(
    ({ city }: { city: string; unit?: string | undefined }) => {
      calls.push(city);
      return answer(city) as string;
    },
    {
      name: "weather",
      description: "Today's weather in a city.",
      schema: z.object({ city: z.string(), unit: z.string().optional() }),
    },
  );
  return { own, calls };
}

const memo = (rules: object = {}, more: object = {}): CacheSageOptions["policies"] => ({
  "tool-memo": { tools: { weather: rules }, ...more },
});
const contents = ({ messages }: { messages: readonly { type: string; content: unknown }[] }) =>
  messages.filter(({ type }) => type === "tool").map(({ content }) => content);
const idsOf = ({ messages }: { messages: readonly object[] }) =>
  messages.flatMap((message) => ("tool_call_id" in message ? [message.tool_call_id] : []));

const wirings: Readonly<
  Record<string, (own: ReturnType<typeof weather>["own"], scripted: ScriptedSage) => Promise<unknown>>
> = {
  "a ToolNode": (own, { sage, model }) =>
    sage.instrument(createReactAgent({ llm: model(), tools: [own] })).invoke(input),
  "createAgent, instrumented": (own, { sage, model }) =>
    sage.instrument(createAgent({ model: model(), tools: [own] })).invoke(input),
  "createAgent with the middleware": (own, { sage, model }) =>
    createAgent({ model: model(), tools: [own], middleware: [sage.middleware()] }).invoke(input),
  "a plain node": (own, { sage }) => {
    const wrapped = sage.tool(own);
    const node = async () => {
      const messages = [];
      for (const city of ["Oslo", "Oslo"])
        messages.push(await wrapped.invoke({ name: "weather", args: { city }, id: "1", type: "tool_call" }));
      return { messages };
    };
    const graph = new StateGraph(MessagesAnnotation).addNode("n", node).addEdge(START, "n").compile();
    return sage.instrument(graph).invoke(input);
  },
};

describe.each(Object.entries(wirings))("in %s", (_name, run) => {
  test("an equal call is answered without the tool, and the graph sees the same", async () => {
    const script = callsTool("weather", { city: "Oslo" }, { city: "Oslo" });
    const plain = weather();
    await using without = await scriptedSage({}, script);
    const expected = (await run(plain.own, without)) as never;
    const kept = weather();
    await using scripted = await scriptedSage(memo(), script);
    const result = (await run(kept.own, scripted)) as never;
    expect([plain.calls, kept.calls]).toEqual([["Oslo", "Oslo"], ["Oslo"]]);
    expect(contents(result)).toEqual(contents(expected));
    expect(idsOf(result)).toEqual(idsOf(expected));
    expect(scripted.verdicts()).toHaveLength(1);
    expect(scripted.verdicts()[0]).toMatch(/^tool-memo: reuse /);
    expect(scripted.sage.stats.faults).toBe(0);
  });
});

test("a tool that is not listed is always called, and without the policy a tool is handed back as it is", async () => {
  const { own, calls } = weather();
  await using scripted = await scriptedSage(
    { "tool-memo": {} },
    callsTool("weather", { city: "A" }, { city: "A" }),
  );
  await scripted.sage.instrument(createReactAgent({ llm: scripted.model(), tools: [own] })).invoke(input);
  expect(calls).toEqual(["A", "A"]);
  await using without = await scriptedSage({});
  expect(without.sage.tool(own)).toBe(own);
});

/** How often the tool was called for two threads of one tenant and one of another. */
async function toolCalls(scope: string): Promise<number> {
  const { own, calls } = weather();
  await using scripted = await scriptedSage(memo({ scope }), callsTool("weather", { city: "Oslo" }));
  const agent = createReactAgent({
    llm: scripted.model(),
    tools: [own],
    checkpointSaver: new MemorySaver(),
  });
  const graph = scripted.sage.instrument(agent);
  for (const [thread_id, tenant] of [
    ["1", "red"],
    ["2", "red"],
    ["3", "blue"],
  ])
    await graph.invoke(input, { configurable: { thread_id, tenant } });
  return calls.length;
}

test("results are shared within their scope and never across", async () => {
  expect([
    await toolCalls("run"),
    await toolCalls("session"),
    await toolCalls("tenant"),
    await toolCalls("global"),
  ]).toEqual([3, 3, 2, 1]);
});

test("all arguments of a plain function count, but not the config that a node hands on", async () => {
  await using scripted = await scriptedSage({ "tool-memo": { tools: { add: {} } } });
  const calls: unknown[] = [];
  const add = scripted.sage.tool(
    async (a: number, b?: unknown) => {
      calls.push(b);
      return `${a} and ${typeof b}`;
    },
    { name: "add" },
  );
  const node = async (_state: unknown, config: object) => {
    for (const b of [2, 3, 2, undefined, config]) await add(1, b);
    return {};
  };
  const graph = new StateGraph(MessagesAnnotation).addNode("n", node).addEdge(START, "n").compile();
  await scripted.sage.instrument(graph).invoke(input);
  expect(calls).toEqual([2, 3, undefined]);
});

test("a call that fails, or says so, is not kept", async () => {
  let broken = true;
  const { own, calls } = weather((city) => {
    if (broken) throw new Error("no forecast");
    return city;
  });
  const script = callsTool("weather", { city: "Oslo" }, { city: "Oslo" }, { city: "Oslo" });
  await using scripted = await scriptedSage(memo(), script);
  const graph = scripted.sage.instrument(createReactAgent({ llm: scripted.model(), tools: [own] }));
  await graph.invoke(input);
  expect(calls).toHaveLength(3);
  broken = false;
  await graph.invoke(input);
  expect(calls).toHaveLength(4);
});

test("equal calls at once run the tool once", async () => {
  let calls = 0;
  const read = async ({ path }: { path: string }) => {
    calls++;
    await new Promise((resolve) => setTimeout(resolve, 20));
    return { path, text: "hello" };
  };
  await using scripted = await scriptedSage({ "tool-memo": { tools: { read: {} } } });
  const kept = scripted.sage.tool(read);
  const results: unknown[] = [];
  const graph = scripted.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("n", async () => {
        const all = await Promise.all(["a", "a", "b", "a"].map((path) => kept({ path })));
        results.push(...all);
        // What a node does to its own copy is its own affair.
        (all[0] as { text: string }).text = "changed";
        results.push(await kept({ path: "a" }));
        return {};
      })
      .addEdge(START, "n")
      .compile(),
  );
  await graph.invoke(input);
  expect(calls).toBe(2);
  expect(results.slice(1)).toMatchObject([{ path: "a" }, { path: "b" }, { path: "a" }, { text: "hello" }]);
});

/** The policy alone, with a clock of its own. */
function alone(given: object) {
  const time = { now: 1 };
  const clock = { now: () => time.now };
  const predictor = new LearnedPredictor();
  const prefixes = new LivePrefixes({ tokens: () => 0, branch: () => 0 });
  const policy = toolMemo.create({ options: toolMemo.options.parse(given), clock, predictor, prefixes });
  let count = 0;
  const call = (args: unknown, more: Partial<ToolCallSubject> = {}): ToolCallSubject => ({
    kind: "tool-call",
    id: `${++count}`,
    agent: "a",
    run: "r",
    at: time.now,
    tool: "read",
    args,
    form: "value",
    ...more,
  });
  const verdict = (one: ToolCallSubject) =>
    [...(policy.act?.([{ item: one, score: 1 }], [], { now: time.now, underWay: 0, workers: [] }) ?? [])][0]
      ?.type ?? "call";
  /** Makes the call if the policy lets it. */
  const makeWith = (args: unknown, output: unknown, more: Partial<ToolCallSubject> = {}) => {
    const one = call(args, more);
    const said = verdict(one);
    if (said === "call") {
      policy.decided?.(one, { type: "admit", call: one });
      policy.ended?.(one, { status: "completed", output });
    }
    return said;
  };
  const make = (args: unknown, output: unknown = "result", more: Partial<ToolCallSubject> = {}) =>
    makeWith(args, output, more);
  return { time, policy, call, verdict, make, makeWith };
}

test("equal means equal arguments in any order of fields; any other argument calls the tool", () => {
  const { make } = alone({ tools: { read: {} } });
  expect(make({ a: 1, b: { c: [1, 2], d: 2 } })).toBe("call");
  expect(make({ b: { d: 2, c: [1, 2] }, a: 1 })).toBe("reuse");
  expect(make({ a: 1, b: { c: [2, 1], d: 2 } })).toBe("call");
  expect(make({ a: "1", b: { c: [1, 2], d: 2 } })).toBe("call");
  expect(make({ a: 1, b: { c: [1, 2], d: 2 } }, "x", { form: "message" })).toBe("call");
  const circular: { self?: unknown } = {};
  circular.self = circular;
  expect([make(circular), make(circular)]).toEqual(["call", "call"]);
  expect([make({}, "x", { tool: "constructor" }), make({}, "x", { tool: "constructor" })]).toEqual([
    "call",
    "call",
  ]);
});

test("arguments that JSON cannot tell apart call the tool", () => {
  const { make } = alone({ tools: { read: {} } });
  const pairs: readonly (readonly [unknown, unknown])[] = [
    [new Map([["a", 1]]), new Map([["b", 1]])],
    [{ x: Number.NaN }, { x: null }],
    [{ x: new Date(0) }, { x: new Date(0).toISOString() }],
    [{ x: () => 1 }, { x: () => 2 }],
    [[undefined], [null]],
    [undefined, null],
  ];
  for (const [one, other] of pairs) expect([make(one), make(other)]).toEqual(["call", "call"]);
});

test("outside of any run a result is shared only where its scope says with whom", () => {
  const outside = { run: "" };
  for (const scope of ["run", "session", "tenant"]) {
    const { make } = alone({ tools: { read: { scope } } });
    expect([make({}, "x", outside), make({}, "x", outside)]).toEqual(["call", "call"]);
  }
  const { make } = alone({ tools: { read: { scope: "global" } } });
  expect([make({}, "x", outside), make({}, "x", outside)]).toEqual(["call", "reuse"]);
});

test("a tool that changes its arguments while it runs holds up nobody after it", () => {
  const { call, policy, verdict } = alone({ tools: { read: {} } });
  const args = { page: 1 };
  const first = call(args);
  policy.decided?.(first, { type: "admit", call: first });
  args.page++;
  policy.ended?.(first, { status: "completed", output: "page 1" });
  expect([verdict(call({ page: 1 })), verdict(call({ page: 2 }))]).toEqual(["reuse", "call"]);
});

test("a result holds for its time", () => {
  const { make, time } = alone({ tools: { read: { ttlMs: 1000 } } });
  make({});
  time.now = 1000;
  expect(make({})).toBe("reuse");
  time.now = 1002;
  expect(make({})).toBe("call");
});

test("a tool that writes makes results with its tag void, those under way as well", () => {
  const { make, call, policy, verdict } = alone({
    tools: { read: { tags: ["files"] } },
    invalidates: { write: ["files"] },
  });
  make({ path: "a" });
  expect(make({ path: "a" })).toBe("reuse");
  make({}, "written", { tool: "write" });
  expect(verdict(call({ path: "a" }))).toBe("call");
  const slow = call({ path: "b" });
  policy.decided?.(slow, { type: "admit", call: slow });
  make({}, "written", { tool: "write" });
  policy.ended?.(slow, { status: "completed", output: "old" });
  expect(make({ path: "b" })).toBe("call");
});

test("negative results are kept only when asked", () => {
  for (const output of [undefined, null, "", []]) {
    const forgetful = alone({ tools: { read: {} } });
    expect([forgetful.makeWith({}, output), forgetful.makeWith({}, output)]).toEqual(["call", "call"]);
    const keeping = alone({ tools: { read: { keepNegative: true } } });
    expect([keeping.makeWith({}, output), keeping.makeWith({}, output)]).toEqual(["call", "reuse"]);
  }
});

test("what steers a graph, or cannot be copied, is never kept", () => {
  for (const output of [() => {}, [() => {}], new Map(), [new URL("http://a")], { answers: [new Map()] }]) {
    const { make } = alone({ tools: { read: {} } });
    expect([make({}, output), make({}, output)]).toEqual(["call", "call"]);
  }
});

test("what is done to a kept message, by whoever was given it, is not seen in the next one", async () => {
  const rows = tool(async () => ["two rows", { rows: [1, 2] }], {
    name: "rows",
    description: "Rows of a table.",
    schema: z.object({ table: z.string() }),
    responseFormat: "content_and_artifact",
  });
  await using scripted = await scriptedSage({ "tool-memo": { tools: { rows: {} } } });
  const kept = scripted.sage.tool(rows);
  const seen: unknown[] = [];
  const graph = scripted.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("n", async () => {
        for (const id of ["1", "2", "3"]) {
          const message: unknown = await kept.invoke({
            type: "tool_call",
            id,
            name: "rows",
            args: { table: "a" },
          });
          const { tool_call_id, artifact } = message as {
            readonly tool_call_id: string;
            readonly artifact: { readonly rows: number[] };
          };
          seen.push([tool_call_id, [...artifact.rows]]);
          artifact.rows.push(3);
        }
        return {};
      })
      .addEdge(START, "n")
      .compile(),
  );
  await graph.invoke(input);
  expect(scripted.verdicts()).toEqual(["tool-memo: reuse n", "tool-memo: reuse n"]);
  expect(seen).toEqual([
    ["1", [1, 2]],
    ["2", [1, 2]],
    ["3", [1, 2]],
  ]);
});

test("the number of results and their size are bounded", () => {
  const { make } = alone({ tools: { read: {} }, maxEntries: 2 });
  for (const path of ["a", "b", "c"]) make({ path });
  expect([make({ path: "c" }), make({ path: "b" }), make({ path: "a" })]).toEqual(["reuse", "reuse", "call"]);
  const small = alone({ tools: { read: {} }, maxCharacters: 200 });
  small.make({ path: "a" }, "x".repeat(500));
  expect(small.make({ path: "a" })).toBe("call");
});
