import { setTimeout as delay } from "node:timers/promises";
import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { expect, test } from "vitest";
import { signal } from "../langgraph/signal.ts";
import { scriptedSage } from "./scripted-sage.ts";

const input = { messages: [{ role: "user" as const, content: "Hello" }] };
/** So long that a test which waits for it fails. */
const budget = { holdBudgetMs: 600_000 };

test("a call that is held when its run ends is made all the same", async () => {
  const over = signal<void>();
  await using scripted = await scriptedSage(
    { fairness: { concurrency: 1 } },
    () => ({ text: "ok", after: over.promise }),
    budget,
  );
  const model = scripted.model();
  const workerOf = (work: (answer: Promise<unknown>) => Promise<unknown>) =>
    scripted.sage.instrument(
      new StateGraph(MessagesAnnotation)
        .addNode("worker", async () => {
          await work(model.invoke("Hello"));
          return {};
        })
        .addEdge(START, "worker")
        .compile(),
    );
  const other = workerOf((answer) => answer).invoke(input);
  while (scripted.server.requests.length === 0) await delay(1);
  let held: Promise<unknown> | undefined;
  await workerOf(async (answer) => {
    held = answer;
    while (scripted.verdicts().length < 2) await delay(1);
  }).invoke(input);
  expect(scripted.verdicts()).toEqual(["fairness: admit worker", "fairness: hold worker"]);
  over.resolve();
  expect(await held).toMatchObject({ content: "ok" });
  await other;
  expect(scripted.sage.stats.faults).toBe(0);
});

test("a call that is made after its run has ended holds up none that come after it", async () => {
  await using scripted = await scriptedSage(
    { fairness: { concurrency: 1 }, admission: { initial: 1, min: 1, max: 1 } },
    undefined,
    budget,
  );
  const model = scripted.model();
  let after: Promise<unknown> | undefined;
  const ask = async (isLate: boolean) => {
    const over = signal<void>();
    const call = async () => {
      if (isLate) await over.promise;
      return model.invoke("Hello");
    };
    const graph = scripted.sage.instrument(
      new StateGraph(MessagesAnnotation)
        .addNode("worker", async () => {
          const answer = call();
          if (!isLate) return { messages: [await answer] };
          after = answer;
          return {};
        })
        .addEdge(START, "worker")
        .compile(),
    );
    const { messages } = await graph.invoke(input);
    over.resolve();
    return messages.length;
  };
  for (let i = 0; i < 3; i++) {
    expect(await ask(true)).toBe(1);
    await after;
    expect(await ask(false)).toBe(2);
  }
});
