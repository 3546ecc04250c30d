import * as fc from "fast-check";
import { expect, test } from "vitest";
import { LatestPrompts } from "../../src/learn/latest-prompts.ts";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import type { Event, PromptPart } from "../../src/runtime/event.ts";

/** Calls of one app. A conversation is a prompt that grows; which of its agent's it is the learner has to find out. */
class Talks {
  #time = 0;
  readonly #said = new Map<string, PromptPart[]>();

  run(run: string, type: "run-start" | "run-end"): Event {
    const at = ++this.#time;
    return type === "run-start" ? { type, at, run } : { type, at, run, status: "completed" };
  }

  /** @param system its system message; default: one that all of the agent have. */
  call(run: string, agent: string, talk: string, system = agent): Event {
    const key = `${run} ${agent} ${talk}`;
    const before = this.#said.get(key) ?? [];
    const history = [...before, { hash: `${key} ${before.length}`, length: 400 }];
    this.#said.set(key, history);
    const anchor = { hash: system, length: 4000 };
    const prompt = { anchor, history };
    const request = `request ${++this.#time}`;
    return { type: "request-start", at: this.#time, run, agent, namespace: agent, request, prompt };
  }
}

const feed = (predictor: LearnedPredictor, ...events: readonly Event[]) => {
  for (const event of events) predictor.observe(event);
};

/** So many runs of a node that calls the model about two things, with another agent in between. */
function twoThings(predictor: LearnedPredictor, talks: Talks, runs: number): void {
  for (let run = 0; run < runs; run++) {
    const name = `${run}`;
    feed(predictor, talks.run(name, "run-start"));
    for (let turn = 0; turn < 4; turn++)
      feed(
        predictor,
        talks.call(name, "coder", "draft", "write"),
        talks.call(name, "coder", "review", "review"),
        talks.call(name, "tester", "test"),
      );
    feed(predictor, talks.run(name, "run-end"));
  }
}

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
  twoThings(predictor, talks, 20);
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
