import { expect, test } from "vitest";
import { AnchorDrift } from "../../src/langgraph/anchor-drift.ts";

interface Sent {
  readonly run: string;
  readonly session?: string;
  readonly body: object;
}

const tool = (name: string) => ({ type: "function", function: { name } });
const system = (content: string) => ({ role: "system", content });
const user = (content: string) => ({ role: "user", content });
const ai = (content: string) => ({ role: "assistant", content });

async function warnings(
  sent: readonly Sent[],
  tokenize?: (body: unknown) => Promise<readonly number[]>,
): Promise<readonly string[]> {
  const told: string[] = [];
  const drift = new AnchorDrift({
    warn: (message) => void told.push(message),
    ...(tokenize && { tokenize }),
  });
  for (const { run, session, body } of sent) {
    const thread = session === undefined ? {} : { session };
    drift.request({ agent: "planner", run, ...thread, namespace: "" }, JSON.stringify(body));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => setTimeout(resolve, 5));
  return told;
}

const prompt = (...messages: object[]) => ({ run: "r", body: { messages: [system("s"), ...messages] } });
const withTools = (...names: string[]) => ({ messages: [system("s"), user("a")], tools: names.map(tool) });

/** A template that shows the thinking of short prompts only. */
async function rendered(body: unknown): Promise<readonly number[]> {
  const { messages } = body as { messages: readonly { content: string }[] };
  const thinking = messages.length > 3 ? [] : [7, 7, 7];
  return [1, 2, 3, ...thinking, ...Array.from({ length: messages.length * 20 }, (_, index) => 100 + index)];
}

async function characters(body: unknown): Promise<readonly number[]> {
  return [...JSON.stringify(body)].map((letter) => letter.charCodeAt(0));
}

const broken = () => Promise.reject(new Error("down"));

const turnOf = (name: string, turn: number, known: string) => ({
  run: `${name} ${turn}`,
  session: name,
  body: { messages: [system(`You plan. Known of the user: ${known}.`), user("go")] },
});

test("a clock in the system message is told once, with its position", async () => {
  const sent = Array.from({ length: 8 }, (_, index) => ({
    run: `r${index}`,
    body: { messages: [system(`It is 12:0${index}. You plan.`), user("go")] },
  }));
  const told = await warnings(sent);
  expect(told).toHaveLength(1);
  expect(told[0]).toMatch(
    /^agent "planner": its system message changes at character 10 of \d+: is there a clock/,
  );
});

test("a few variants of a system message are no drift, and neither is a history that only grows", async () => {
  const sent = Array.from({ length: 8 }, (_, index) => ({
    run: "r",
    body: {
      messages: [
        system(index < 4 ? "German." : "French."),
        user("a"),
        ...["b", "c", "d", "e", "f", "g", "h"].slice(0, index).map((content) => user(content)),
      ],
    },
  }));
  expect(await warnings(sent)).toEqual([]);
});

test("what a system message ends with may be another one in each thread, and is told where it changes within one", async () => {
  const names = ["Ann", "Ben", "Cleo", "Dan"];
  const byUser = [1, 2, 3].flatMap((turn) => names.map((name) => turnOf(name, turn, name)));
  expect(await warnings(byUser)).toEqual([]);
  const learnt = [1, 2, 3].flatMap((turn) =>
    ["Ann", "Ben"].map((name) => turnOf(name, turn, `${name} ${turn}`)),
  );
  expect(await warnings(learnt)).toEqual([
    expect.stringContaining("Move what changes into the latest message"),
  ]);
  const tools = [tool("search")];
  const withTool = byUser.map((sent) => ({ ...sent, body: { ...sent.body, tools } }));
  expect(await warnings(withTool)).toEqual([expect.stringContaining("Move what changes to the end")]);
});

test("tools in another order are told apart from other tools", async () => {
  expect(
    await warnings([
      { run: "a", body: withTools("x", "y", "z") },
      { run: "b", body: withTools("x", "z", "y") },
    ]),
  ).toEqual([expect.stringContaining("its tools come in another order from tool 2 on: sort them by name")]);
  expect(
    await warnings([
      { run: "a", body: withTools("x", "y") },
      { run: "b", body: withTools("x") },
    ]),
  ).toEqual([expect.stringContaining("its tools change from tool 2 on")]);
});

test("an earlier message that changes within a run is told, with the message and the character", async () => {
  const told = await warnings([
    { run: "r", body: { messages: [system("s"), user("a"), ai("<think>hm</think>yes"), user("b")] } },
    { run: "r", body: { messages: [system("s"), user("a"), ai("yes"), user("b"), ai("no")] } },
  ]);
  expect(told).toEqual([
    expect.stringMatching(/message 2 of 3 of its history is another one .+ from character \d+ on/),
  ]);
  const apart = await warnings([
    { run: "r1", body: { messages: [system("s"), user("a")] } },
    { run: "r2", body: { messages: [system("s"), user("b")] } },
  ]);
  expect(apart).toEqual([]);
});

test("parallel branches, each with answers of its own, and questions of their own in one node are no drift", async () => {
  expect(await warnings([prompt(user("one")), prompt(user("two")), prompt(user("three"))], rendered)).toEqual(
    [],
  );
  const steps = (item: string) =>
    [prompt(user(item)), prompt(user(item), ai("look"), user("found"))] as const;
  const [[one, one2], [two, two2], [three, three2]] = [steps("one"), steps("two"), steps("three")];
  expect(await warnings([one, two, three, one2, two2, three2])).toEqual([]);
  expect(await warnings([one, one2, two, two2, three, three2])).toEqual([]);
  // Of other branches only the later steps may be among what is remembered.
  const step = (name: string) => prompt(user("same task"), ai(name), user(`${name} found`));
  expect(await warnings([step("one"), step("two"), step("three")])).toEqual([]);
});

test("what only the server's template changes is found in the rendered tokens, and the first different one is named", async () => {
  const told = await warnings(
    [
      { run: "r", body: { messages: [system("s"), user("a"), ai("yes")] } },
      { run: "r", body: { messages: [system("s"), user("a"), ai("yes"), user("b")] } },
    ],
    rendered,
  );
  expect(told).toEqual([expect.stringContaining("from token 3 of 66 on")]);
  const clock = (index: number) => ({ run: "r", body: { messages: [system(`t${index}`), user("a")] } });
  expect(await warnings([clock(1), clock(2), clock(3)], characters)).toEqual([
    expect.stringMatching(/\(token \d+ of \d+\); nothing after/),
  ]);
});

test("what is no chat body, and a tokenizer that fails, cost nothing", async () => {
  const bodies = [{ prompt: "x" }, { input: "x" }, [], { messages: [] }, { messages: [null, 3] }];
  expect(await warnings(bodies.map((body) => ({ run: "r", body })))).toEqual([]);
  const sent = [1, 2, 3].map((index) => ({ run: "r", body: { messages: [system(`t${index}`), user("a")] } }));
  expect(await warnings(sent, broken)).toHaveLength(1);
});
