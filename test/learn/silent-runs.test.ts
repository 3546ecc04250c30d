import * as fc from "fast-check";
import { expect, test } from "vitest";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import type { Event } from "../../src/runtime/event.ts";

/** How long tools take, in milliseconds. */
const TOOLS = [40, 60, 80, 100];

/** Runs of one agent of which nobody sees the end, one after the other. */
class Silent {
  now = 0;
  readonly predictor = new LearnedPredictor();
  readonly #extra: Partial<Event>;
  #calls = 0;

  /** @param extra of each run's start. */
  constructor(extra: Partial<Event> = { endIsUnseen: true }) {
    this.#extra = extra;
  }

  /** A run that calls so many times. */
  run(run: string, calls: number): void {
    this.predictor.observe({ type: "run-start", at: this.now, run, ...this.#extra } as Event);
    for (let i = 0; i < calls; i++) {
      this.call(run);
      if (i < calls - 1) this.now += TOOLS[this.#calls % TOOLS.length] as number;
    }
  }

  call(run: string): void {
    const request = `${++this.#calls}`;
    const prompt = { anchor: { hash: "system", length: 4000 }, history: [{ hash: run, length: 400 }] };
    const who = { run, agent: "solver", namespace: "solver", request };
    this.predictor.observe({ type: "request-start", at: this.now, ...who, prompt });
    this.now += 20;
    this.predictor.observe({ type: "request-end", at: this.now, ...who, status: "completed" });
  }

  value(run: string): number {
    return this.predictor.reuse({ agent: "solver", run });
  }

  /** Time goes by, and is told of by something that does not matter. */
  after(milliseconds: number): this {
    this.now += milliseconds;
    this.predictor.observe({ type: "run-end", at: this.now, run: "none", status: "completed" });
    return this;
  }
}

/** Forty runs of four calls. */
function taught(extra?: Partial<Event>): Silent {
  const silent = new Silent(extra);
  for (let i = 0; i < 40; i++) silent.run(`${i}`, 4);
  return silent;
}

test("what is silent for longer than gaps between calls take loses its value, where nobody sees runs end", () => {
  const silent = taught();
  silent.run("x", 3);
  const fresh = silent.value("x");
  expect(fresh).toBeGreaterThan(0.1);
  expect(silent.after(1000).value("x")).toBeLessThan(0.01);
  const watched = taught({});
  watched.run("x", 3);
  expect(watched.after(1000).value("x")).toBeGreaterThan(0.01);
});

test("what it will be worth is told beforehand, since nothing else will happen", () => {
  const silent = taught();
  silent.run("x", 3);
  const outlook = silent.predictor.outlook("x");
  const last = outlook.at(-1) ?? [0, 1];
  expect(outlook.map(([at]) => at)).toEqual(outlook.map(([at]) => at).toSorted((a, b) => a - b));
  expect(last[0]).toBeGreaterThan(200);
  expect(last[1]).toBeLessThan(0.01);
});

test("that runs end is learned from their silence, and that they go on when they do", () => {
  const silent = taught();
  silent.run("x", 4);
  const [next] = silent.predictor.next("x");
  expect(next?.probability).toBeLessThan(0.8);
  silent.after(1000);
  expect(silent.value("x")).toBeLessThan(0.01);
  silent.call("x");
  expect(silent.value("x")).toBeGreaterThan(0.1);
});

test("a predictor that takes over what another one has learned knows how long silence may last", () => {
  const silent = new Silent();
  silent.predictor.restore(taught().predictor.snapshot());
  silent.run("x", 3);
  expect(silent.value("x")).toBeGreaterThan(0.1);
  const before = silent.predictor.snapshot().transitions;
  expect(silent.after(1000).value("x")).toBeLessThan(0.01);
  expect(silent.predictor.snapshot().transitions).not.toEqual(before);
});

/** What is learned of forty runs whose end is seen a second late, or never. */
function learnedFrom(isSeen: boolean) {
  const silent = new Silent();
  for (let i = 0; i < 40; i++) {
    silent.run(`${i}`, 4);
    silent.after(1000);
    if (isSeen)
      silent.predictor.observe({ type: "run-end", at: silent.now, run: `${i}`, status: "completed" });
  }
  return silent.predictor.snapshot();
}

test("an end that is seen late counts once", () => {
  expect(learnedFrom(true).transitions).toEqual(learnedFrom(false).transitions);
  expect(learnedFrom(true).returns).toEqual(learnedFrom(false).returns);
});

test("where threads come back, a silent run is worth what a paused thread is", () => {
  const silent = new Silent({ endIsUnseen: true, session: "chat" });
  for (let i = 0; i < 40; i++) {
    silent.run(`${i}`, 4);
    silent.now += 2000;
    silent.predictor.observe({
      type: "run-end",
      at: silent.now,
      run: `${i}`,
      session: "chat",
      status: "completed",
    });
  }
  silent.run("x", 4);
  silent.after(1000);
  const waiting = silent.value("x");
  expect(waiting).toBeGreaterThan(0.05);
  const alone = new Silent();
  for (let i = 0; i < 40; i++) {
    alone.run(`${i}`, 4);
    alone.after(2000);
  }
  alone.run("x", 4);
  expect(alone.after(1000).value("x")).toBeLessThan(waiting / 5);
});

test("values stay in [0, 1] whatever happens", () => {
  const steps = fc.array(
    fc.record({ run: fc.nat(5), wait: fc.nat(5000), what: fc.constantFrom("call", "start", "end") }),
    { maxLength: 80 },
  );
  fc.assert(
    fc.property(steps, fc.boolean(), (given, hasThread) => {
      const silent = new Silent({ endIsUnseen: true, ...(hasThread && { session: "s" }) });
      for (const { run, wait, what } of given) {
        silent.now += wait;
        if (what === "start") silent.run(`${run}`, 2);
        else if (what === "call") silent.call(`${run}`);
        else
          silent.predictor.observe({
            type: "run-end",
            at: silent.now,
            run: `${run}`,
            status: "completed",
            ...(hasThread && { session: "s" }),
          });
        for (let i = 0; i < 6; i++) {
          expect(silent.value(`${i}`)).toBeGreaterThanOrEqual(0);
          expect(silent.value(`${i}`)).toBeLessThanOrEqual(1);
          for (const [at, factor] of silent.predictor.outlook(`${i}`)) {
            expect(at).toBeGreaterThanOrEqual(0);
            expect(factor).toBeGreaterThanOrEqual(0);
            expect(Number.isFinite(factor)).toBe(true);
          }
        }
      }
    }),
  );
});
