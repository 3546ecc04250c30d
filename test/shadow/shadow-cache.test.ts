import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ShadowCache } from "../../src/shadow/shadow-cache.ts";
import type { PromptShape } from "../../src/runtime/event.ts";
import lru from "../../src/sim/baselines/lru.ts";
import { replay } from "../../src/sim/replay.ts";
import { schedule } from "../../src/sim/schedule.ts";
import { chainedWorkload } from "../sim/random-workload.ts";

const NOTHING = { hash: "", length: 0 };

/** A prompt of parts named by letters, each of ten characters; the first is the anchor. */
function prompt(letters: string): PromptShape {
  const [anchor = NOTHING, ...history] = [...letters].map((hash) => ({ hash, length: 10 }));
  return { anchor, history };
}

/** The prompt of an agent that begins like no other's. */
const own = (agent: string): PromptShape => ({ anchor: { hash: agent, length: 10 }, history: [] });

describe("a shadow of a prefix cache", () => {
  it("finds what an earlier prompt began with, and nothing after the first difference", () => {
    const shadow = new ShadowCache(false);
    expect(shadow.request("r", "a", prompt("abcd"), 1000)).toBe(0);
    expect(shadow.request("r", "a", prompt("abcd"), 1000)).toBe(40);
    expect(shadow.request("s", "a", prompt("abxd"), 1000)).toBe(20);
    expect(shadow.resident).toBe(60);
  });

  it("gives up the tail of what was used longest ago, in part where that is enough", () => {
    const shadow = new ShadowCache(false);
    shadow.request("r", "a", prompt("abc"), 35);
    shadow.request("s", "b", prompt("x"), 35);
    expect(shadow.resident).toBe(35);
    expect(shadow.wasFull).toBe(true);
    expect(shadow.request("r", "a", prompt("abc"), 35)).toBe(25);
  });

  it("does not hold on to prompts of a run whose agents have new names each time", () => {
    const shadow = new ShadowCache(true);
    shadow.request("s", "b", own("b"), 2600);
    for (let i = 0; i < 260; i++) shadow.request("r", `worker ${i}`, own(`worker ${i}`), 2600);
    expect(shadow.wasFull).toBe(true);
    // What nobody holds goes before what was used longest ago.
    expect(shadow.request("s", "b", own("b"), 2600)).toBe(10);
  });

  it("counts an answer as cached when the run's next prompt goes on with it", () => {
    const shadow = new ShadowCache(false);
    shadow.request("r", "a", prompt("ab"), 1000);
    shadow.answered("r", "a", 8);
    expect(shadow.resident).toBe(28);
    expect(shadow.request("r", "a", prompt("abc"), 1000)).toBe(28);
    expect(shadow.resident).toBe(30);
    expect(shadow.request("s", "a", prompt("abc"), 1000)).toBe(30);
  });

  it("lets go of ended runs first, if it knows of ends", () => {
    const hits = [false, true].map((releases) => {
      const shadow = new ShadowCache(releases);
      shadow.request("open", "a", prompt("abc"), 60);
      shadow.request("ended", "b", prompt("xyz"), 60);
      shadow.ended("ended", undefined);
      shadow.request("new", "c", prompt("pqr"), 60);
      return shadow.request("open", "a", prompt("abc"), 60);
    });
    expect(hits).toEqual([0, 30]);
  });

  it("keeps what a session's next run may go on with", () => {
    const shadow = new ShadowCache(true);
    shadow.request("first", "a", prompt("abc"), 60);
    shadow.ended("first", "thread");
    shadow.request("other", "b", prompt("xyz"), 60);
    shadow.ended("other", undefined);
    shadow.request("new", "c", prompt("pqr"), 60);
    shadow.started("second", "thread");
    expect(shadow.request("second", "a", prompt("abcd"), 60)).toBe(30);
  });

  it.each([false, true])(
    "never holds more than fits, nor hits more than was asked (releases: %s)",
    (releases) => {
      const call = fc.record({
        run: fc.constantFrom("1", "2", "3"),
        agent: fc.constantFrom("a", "b"),
        letters: fc.string({ minLength: 1, maxLength: 8, unit: fc.constantFrom("a", "b", "c") }),
        answer: fc.integer({ min: 0, max: 25 }),
        ends: fc.boolean(),
        session: fc.constantFrom(undefined, "s", "t"),
      });
      fc.assert(
        fc.property(
          fc.array(call, { maxLength: 60 }),
          fc.integer({ min: 0, max: 120 }),
          (calls, capacity) => {
            const shadow = new ShadowCache(releases);
            for (const { run, agent, letters, answer, ends, session } of calls) {
              shadow.started(run, session);
              const hit = shadow.request(run, agent, prompt(letters), capacity);
              expect(hit).toBeLessThanOrEqual(letters.length * 10);
              expect(shadow.resident).toBeLessThanOrEqual(capacity);
              const again = shadow.request(run, agent, prompt(letters), capacity);
              expect(again).toBe(Math.min(capacity, letters.length * 10));
              shadow.answered(run, agent, answer);
              if (ends) shadow.ended(run, session);
            }
          },
        ),
      );
    },
  );

  it("hits block for block what the simulator's LRU hits", () => {
    fc.assert(
      fc.property(chainedWorkload, fc.integer({ min: 1, max: 12 }), (workload, capacity) => {
        const scheduled = schedule(workload, { concurrency: 3, seed: 1, order: "random" });
        const { hitsByCall } = replay(scheduled, lru, { capacity });
        const shadow = new ShadowCache(false);
        const hits = scheduled.calls.map(({ call, run }) => {
          const history = Array.from(call.blocks, (block) => ({ hash: String(block), length: 1 }));
          return shadow.request(String(run), call.agent, { anchor: NOTHING, history }, capacity);
        });
        expect(hits).toEqual([...hitsByCall]);
      }),
    );
  });
});
