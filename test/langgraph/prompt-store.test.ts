import { expect, test } from "vitest";
import { PromptStore } from "../../src/langgraph/prompt-store.ts";
import type { Identity } from "../../src/runtime/event.ts";

const system = (content: string) => ({ role: "system", content });
const user = (content: string) => ({ role: "user", content });
const body = (...messages: readonly unknown[]) => JSON.stringify({ model: "m", messages, stream: true });
const of = (agent: string, run = "1"): Identity => ({ agent, run, namespace: "" });

test("an agent that shares the run's messages goes on from the latest prompt, whoever's it was, and its answer", () => {
  const store = new PromptStore(
    () => true,
    () => 0,
  );
  store.request(of("b", "0"), body(system("b"), user("elsewhere")));
  store.request(of("a"), body(system("a"), user("task")));
  store.answer(of("a"), "done");
  expect(store.compose({ agent: "b", run: "1" })).toEqual({
    model: "m",
    messages: [system("b"), user("task"), { role: "assistant", content: "done" }],
  });
});

test("an agent with a history of its own goes on from its own prompt in that run", () => {
  const store = new PromptStore(
    () => false,
    () => 0,
  );
  store.request(of("b"), body(system("b"), user("mine")));
  store.answer(of("b"), "done");
  store.request(of("a"), body(system("a"), user("theirs")));
  store.request(of("b", "2"), body(system("b"), user("another run")));
  expect(store.compose({ agent: "b", run: "1" })?.messages).toEqual([
    system("b"),
    user("mine"),
    { role: "assistant", content: "done" },
  ]);
  expect(store.compose({ agent: "a", run: "2" })?.messages).toEqual([system("a")]);
  store.end("1");
  expect(store.compose({ agent: "b", run: "1" })?.messages).toEqual([system("b")]);
});

/** How the messages begin that are composed for an agent's second call. */
function composed(isShared: boolean, without?: number): readonly string[] {
  const store = new PromptStore(
    () => isShared,
    () => 0,
  );
  store.request(of("a"), body(system("a"), user("task"), user("x".repeat(500)), system("y".repeat(300))));
  store.answer(of("a"), "done");
  const { messages = [] } = store.compose({ agent: "a", run: "1" }, without) ?? {};
  return messages.slice(1).map((message) => (message as { content: string }).content.slice(0, 4));
}

test("what an agent's next prompt hardly has is left out, message by message, and the answer to it too", () => {
  expect(composed(false)).toEqual(["task", "xxxx", "yyyy", "done"]);
  expect(composed(false, 200)).toEqual(["task", "xxxx", "yyyy", "done"]);
  expect(composed(false, 700)).toEqual(["task", "xxxx"]);
  expect(composed(false, 818)).toEqual(["task"]);
  expect(composed(false, 5000)).toEqual([]);
  // What all share is another agent's prompt.
  expect(composed(true, 818)).toEqual(["task", "xxxx", "yyyy", "done"]);
});

test("nothing is composed where nothing is known", () => {
  const store = new PromptStore(
    () => false,
    () => 0,
  );
  expect(store.compose({ agent: "a", run: "1" })).toBeUndefined();
  store.request(of("a"), body(user("no system message")));
  expect(store.compose({ agent: "a" })).toBeUndefined();
  expect(store.compose({ agent: "a", run: "2" })).toBeUndefined();
  expect(store.compose({ agent: "a", run: "1" })?.messages).toEqual([user("no system message")]);
});

test("what an agent's prompts begin with in every run is known before its first call in one", () => {
  const store = new PromptStore(
    () => false,
    () => 2,
  );
  store.request(of("a", "0"), body(system("a"), user("example"), user("another"), user("task")));
  expect(store.compose({ agent: "a", run: "1" })?.messages).toEqual([
    system("a"),
    user("example"),
    user("another"),
  ]);
  store.request(of("a"), body(system("a"), user("example"), user("another"), user("other task")));
  expect(store.compose({ agent: "a", run: "1" })?.messages).toHaveLength(4);
});

test("an agent with several prompts goes on from that of the branch that is asked for", () => {
  const store = new PromptStore(
    () => false,
    () => 0,
  );
  const review = { agent: "a", run: "1", branch: 1 };
  store.request(of("a"), body(system("write"), user("draft")));
  store.request(review, body(system("review"), user("look")));
  expect(store.compose({ agent: "a", run: "1" })?.messages).toEqual([system("write"), user("draft")]);
  expect(store.compose(review)?.messages).toEqual([system("review"), user("look")]);
  // Another run has not called it; what its branches begin with is known.
  expect(store.compose({ ...review, run: "2" })?.messages).toEqual([system("review")]);
  expect(store.compose({ ...review, branch: 2 })).toBeUndefined();
});

test("runs that never end do not hold more than so much text, those used longest ago go first", () => {
  const store = new PromptStore(
    () => false,
    () => 0,
  );
  const long = body(system("a"), user("x".repeat(1_000_000)));
  const isKept = (run: string) => store.compose({ agent: "a", run })?.messages.length === 2;
  for (let run = 0; run < 100; run++) store.request(of("a", `${run}`), long);
  // Twice the same prompt of a run is kept once.
  store.request(of("a", "0"), long);
  for (let run = 100; run < 127; run++) store.request(of("a", `${run}`), long);
  expect(["0", "1", "126"].map(isKept)).toEqual([true, true, true]);
  store.request(of("a", "another"), long);
  expect(["0", "1", "2", "another"].map(isKept)).toEqual([true, false, true, true]);
  store.end("2");
  store.request(of("a", "one more"), long);
  expect(["3", "one more"].map(isKept)).toEqual([true, true]);
});
