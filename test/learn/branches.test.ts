import * as fc from "fast-check";
import { expect, test } from "vitest";
import { LatestPrompts } from "../../src/learn/latest-prompts.ts";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import type { Event } from "../../src/runtime/event.ts";
import { Talks } from "./talks.ts";

const feed = (predictor: LearnedPredictor, ...events: readonly Event[]) => {
  for (const event of events) predictor.observe(event);
};

test("a conversation keeps its branch, however calls of its agent interleave", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(4), { minLength: 1, maxLength: 30 }), (order) => {
      const predictor = new LearnedPredictor();
      const talks = new Talks();
      const branches = new Map<number, number>();
      feed(predictor, talks.run("1", "run-start"));
      for (const talk of order) {
        feed(predictor, talks.call("1", "worker", `${talk}`));
        const branch = predictor.branch("1", "worker");
        expect(branches.get(talk) ?? branch).toBe(branch);
        branches.set(talk, branch);
      }
      // Numbered in the order in which they began.
      expect([...branches.values()]).toEqual([...branches.keys()].map((_, i) => i));
    }),
  );
});

test("of what an agent has left nothing is expected before it was seen to go back", () => {
  const predictor = new LearnedPredictor();
  const talks = new Talks();
  const left = { agent: "coder", run: "1", branch: 0 };
  feed(predictor, talks.run("1", "run-start"), talks.call("1", "coder", "draft"));
  feed(predictor, talks.call("1", "coder", "review"));
  expect(predictor.reuse(left)).toBe(0);
  expect(predictor.reuse({ ...left, branch: 1 })).toBeGreaterThan(0);
  feed(predictor, talks.call("1", "coder", "draft"), talks.call("1", "coder", "review"));
  expect(predictor.reuse(left)).toBeGreaterThan(0);
  expect(predictor.reuse({ ...left, branch: 2 })).toBe(0);
  feed(predictor, talks.run("1", "run-end"));
  expect(predictor.reuse(left)).toBe(0);
});

test("which branch comes next is learned, and what comes sooner is worth more", () => {
  const predictor = new LearnedPredictor();
  const talks = new Talks();
  feed(predictor, ...talks.twoThings(20));
  const [draft, review] = [0, 1].map((branch) => ({ agent: "coder", run: "x", branch }));
  feed(predictor, talks.run("x", "run-start"));
  expect(predictor.nextBranch("x", "coder")).toBe(0);
  feed(predictor, talks.call("x", "coder", "draft", "write"));
  feed(predictor, talks.call("x", "coder", "review", "review"));
  expect(predictor.branch("x", "coder")).toBe(1);
  // The draft is gone on with in two steps, the review in three.
  const value = (prefix = draft) => predictor.reuse(prefix ?? { agent: "" }, 200);
  expect(value(draft)).toBeGreaterThan(0.2);
  expect(value(review)).toBeGreaterThan(0.15);
  expect(value(draft)).toBeGreaterThanOrEqual(value(review));
  feed(predictor, talks.call("x", "tester", "test"));
  expect(predictor.nextBranch("x", "coder")).toBe(0);
  feed(predictor, talks.call("x", "coder", "draft", "write"));
  expect(predictor.branch("x", "coder")).toBe(0);
  expect(predictor.nextBranch("x", "coder")).toBe(1);
  expect(value(review)).toBeGreaterThan(value(draft));
});

test("an agent that always begins anew is worth what it was, and little is remembered of what it left", () => {
  const predictor = new LearnedPredictor();
  const talks = new Talks();
  for (let run = 0; run < 20; run++) {
    feed(predictor, talks.run(`${run}`, "run-start"));
    for (let call = 0; call < 10; call++) feed(predictor, talks.call(`${run}`, "searcher", `${call}`));
    for (let branch = 0; branch < 8; branch++) {
      const value = predictor.reuse({ agent: "searcher", run: `${run}`, branch });
      expect(value > 0).toBe(branch === predictor.branch(`${run}`, "searcher"));
    }
    // Two numbers are enough once it is known that nothing is gone back to.
    expect(predictor.branch(`${run}`, "searcher")).toBeLessThan(run > 10 ? 2 : 8);
    feed(predictor, talks.run(`${run}`, "run-end"));
  }
});

test("a run's thread goes on with the branches that it had", () => {
  const predictor = new LearnedPredictor();
  const talks = new Talks();
  const session = "chat";
  const turn = (run: string, type: "run-start" | "run-end"): Event =>
    ({ ...talks.run(run, type), session }) as Event;
  feed(predictor, turn("1", "run-start"));
  // One conversation over both runs.
  const call = (run: string, talk: string) => ({ ...talks.call("1", "coder", talk), run }) as Event;
  feed(predictor, call("1", "draft"), call("1", "review"), turn("1", "run-end"));
  feed(predictor, turn("2", "run-start"), call("2", "draft"));
  expect(predictor.branch("2", "coder")).toBe(0);
  feed(predictor, call("2", "review"));
  expect(predictor.branch("2", "coder")).toBe(1);
});

function shape(...hashes: readonly string[]) {
  return { anchor: { hash: "anchor", length: 100 }, history: hashes.map((hash) => ({ hash, length: 10 })) };
}

test("what is gone on from is what a prompt has most of", () => {
  const prompts = new LatestPrompts();
  const given = [shape("a", "b"), shape("x", "y"), shape("a", "b", "c", "d"), shape("a", "b", "x")];
  const branches = given.map((prompt, step) => {
    prompts.compare(prompt);
    const latest = prompts.of(0);
    const before = prompts.before(0, prompt, latest ? prompts.keptOf(latest, prompt) : 0);
    prompts.set(0, prompt, { before, most: 7, step });
    return prompts.of(0)?.branch;
  });
  // Half of the longer one is there: what was replaced at its end is not gone back to.
  expect(branches).toEqual([0, 1, 0, 0]);
  expect(prompts.left(0)).toMatchObject([{ branch: 1, step: 1 }]);
  expect(prompts.find(0, 1)?.messages.parts).toBe(given[1]?.history);
  expect(prompts.find(0, 2)).toBeUndefined();
});

const copyOf = (predictor: LearnedPredictor) => {
  const copy = new LearnedPredictor();
  copy.restore(JSON.parse(JSON.stringify(predictor.snapshot())));
  return copy;
};

/** At each step of a new run that calls about two things: the values of both prompts, and which is expected next. */
function expectations(predictor: LearnedPredictor): number[][] {
  const talks = new Talks();
  return talks.twoThings(1, "new").map((event) => {
    predictor.observe({ ...event, at: 1e6 + event.at });
    const values = [0, 1].flatMap((branch) =>
      [0, 200, 5000].map((fromEnd) => predictor.reuse({ agent: "coder", run: "new 0", branch }, fromEnd)),
    );
    return [predictor.nextBranch("new 0", "coder"), ...values];
  });
}

test("branches are known after a restart as before it", () => {
  const predictor = new LearnedPredictor();
  const talks = new Talks();
  feed(
    predictor,
    ...talks.twoThings(20),
    talks.call("z", "tester", "test"),
    talks.call("z", "tester", "anew"),
  );
  const copy = copyOf(predictor);
  expect(copy.snapshot()).toEqual(predictor.snapshot());
  const [before, after] = [predictor, copy].map(expectations);
  // How far counts are to be trusted is found out anew.
  for (const [step, values] of (before ?? []).entries())
    for (const [i, value] of values.entries()) expect(after?.[step]?.[i]).toBeCloseTo(value, 2);
  expect(before?.flat().filter((value) => value > 0).length).toBeGreaterThan(20);
});

test("a snapshot from before branches were in it is read", () => {
  const predictor = new LearnedPredictor();
  feed(predictor, ...new Talks().twoThings(3));
  const { branches, ...older } = predictor.snapshot();
  expect(branches).toBeDefined();
  const copy = new LearnedPredictor();
  copy.restore(JSON.parse(JSON.stringify(older)));
  expect(copy.snapshot()).toEqual(older);
});

test("without branches a snapshot has nothing of them, and little where agents always begin anew", () => {
  const [predictor, talks] = [new LearnedPredictor(), new Talks()];
  const run = (call: (i: number) => Event) =>
    feed(predictor, talks.run("1", "run-start"), ...Array.from({ length: 80 }, (_, i) => call(i)));
  run(() => talks.call("1", "writer", "letter"));
  expect(predictor.snapshot()).not.toHaveProperty("branches");
  run((i) => talks.call("1", "searcher", `${i}`));
  feed(predictor, talks.run("1", "run-end"));
  expect(predictor.snapshot().branches).toMatchObject({ returns: "", survival: "" });
  expect(JSON.stringify(predictor.snapshot().branches).length).toBeLessThan(100);
});

test("agents with many branches leave room for what is known of the agents themselves", () => {
  const [predictor, talks] = [new LearnedPredictor(), new Talks()];
  let seed = 1;
  const below = (limit: number) => (seed = (seed * 48_271) % 2_147_483_647) % limit;
  for (let run = 0; run < 200; run++)
    for (let call = 0; call < 80; call++)
      feed(predictor, talks.call(`${run}`, `agent-${below(24)}`, `${below(3)}`, "system"));
  const { returns, branches } = predictor.snapshot();
  expect(JSON.stringify(predictor.snapshot()).length).toBeLessThan(20 * 1024);
  expect(branches?.returns.length).toBeGreaterThan(6 * 1024);
  expect(returns.length).toBeGreaterThan(6 * 1024);
});
