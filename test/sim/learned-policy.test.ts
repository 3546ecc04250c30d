import * as fc from "fast-check";
import { expect, test } from "vitest";
import cachesage from "../../src/sim/baselines/cachesage.ts";
import type { Event } from "../../src/runtime/event.ts";
import live from "../../src/sim/baselines/live.ts";
import lru from "../../src/sim/baselines/lru.ts";
import noGuard from "../../src/sim/baselines/no-guard.ts";
import type { Baseline, CacheContext } from "../../src/sim/cache-policy.ts";
import { LearnedPolicy } from "../../src/sim/learned-policy.ts";
import { replay } from "../../src/sim/replay.ts";
import { schedule, type Schedule, type ScheduledCall } from "../../src/sim/schedule.ts";
import { BlockIds, type RecordedRun, type Workload } from "../../src/sim/workload.ts";
import { chainedWorkload } from "./random-workload.ts";
import { written } from "./written-schedule.ts";

/** Four chats of ten turns each, a run a turn, one every second; each turn's prompt begins with all that was said before. */
function chats(withThreads: boolean): Schedule {
  const ids = new BlockIds();
  const calls: ScheduledCall[] = [];
  for (let turn = 0; turn < 10; turn++)
    for (let chat = 0; chat < 4; chat++) {
      const said = Array.from({ length: 2 * (turn + 1) }, (_, i) => ids.id(`${chat}/${i}`));
      const call = {
        agent: "assistant",
        blocks: Int32Array.from([ids.id("system"), ...said]),
        anchorBlocks: 1,
        promptTokens: 16 * (said.length + 1),
        outputTokens: 20,
        startMs: 0,
        durationMs: 400,
      };
      const id = `${chat} ${turn}`;
      const recorded: RecordedRun = { id, calls: [call], ...(withThreads && { session: `chat ${chat}` }) };
      const index = calls.length;
      const thread = withThreads ? chat : index;
      calls.push({ call, run: index, thread, recorded, at: 1000 * index, isLast: true });
    }
  const workload = {
    name: "chats",
    blockTokens: 16,
    blockCount: ids.count,
    runs: calls.map(({ recorded }) => recorded),
  };
  return { workload, concurrency: 1, seed: 1, isTimed: true, calls, workingSet: ids.count };
}

test("a chat's prefix stays after its run when its thread is known", () => {
  // 81 blocks in all; 60 hold nearly everything, so that only what is let go of without need is missed.
  const { hits, touches } = replay(chats(true), noGuard, { capacity: 60 });
  const unknown = replay(chats(false), noGuard, { capacity: 60 });
  expect(touches).toBe(480);
  // At the last but a few turns all that was said before is there: at most 8 new blocks a round.
  expect(hits).toBeGreaterThan(370);
  expect(hits).toBeGreaterThanOrEqual(unknown.hits);
});

/**
 * Forty chats, eight open at once: a router looks at the question alone, then an expert at all that was said, twice. Half of
 * them end after a question, the others after six; between two questions a person thinks for ten seconds or more.
 */
function helpDesk(): Schedule {
  const ids = new BlockIds();
  const text = (kind: string, length: number) => Array.from({ length }, (_, i) => ids.id(`${kind} ${i}`));
  const runs = Array.from({ length: 40 }, (_chat, chat) =>
    Array.from({ length: chat % 2 === 0 ? 1 : 6 }, (_turn, turn): RecordedRun => {
      const call = (agent: string, anchor: number, history: readonly number[], startMs: number) => ({
        agent,
        blocks: Int32Array.from([...text(agent, anchor), ...history]),
        anchorBlocks: anchor,
        promptTokens: 16 * (anchor + history.length),
        outputTokens: 20,
        startMs,
        durationMs: 400,
      });
      const said = Array.from({ length: turn + 1 }, (_said, i) => text(`${chat} said ${i}`, 5)).flat();
      return {
        id: `${chat} ${turn}`,
        session: `chat ${chat}`,
        startMs: turn * (12_000 + 500 * (chat % 7)),
        calls: [
          call("router", 30, text(`${chat} asks ${turn}`, 4), 0),
          call("expert", 20, said, 500),
          call("expert", 20, [...said, ...text(`${chat} found ${turn}`, 3)], 1500),
        ],
      };
    }),
  ).flat();
  const workload = { name: "help desk", blockTokens: 16, blockCount: ids.count, runs };
  return schedule(workload, { concurrency: 8, seed: 1 });
}

test("chats that pause: what opens their runs stays, and those that are over are let go", () => {
  const played = helpDesk();
  for (const share of [0.1, 0.25, 0.5]) {
    const capacity = Math.floor(share * played.workingSet);
    const plain = replay(played, lru, { capacity });
    for (const ours of [noGuard, live])
      expect(replay(played, ours, { capacity }).hits).toBeGreaterThan(plain.hits);
  }
});

/**
 * Single calls, none of which says whose it is: every third one asks about one of four documents of ten blocks, the others
 * have prompts of their own of thirty.
 */
function questions(): Schedule {
  const ids = new BlockIds();
  const calls = Array.from({ length: 900 }, (_, index): ScheduledCall => {
    const isAsked = index % 3 === 0;
    const blocks = Array.from({ length: isAsked ? 12 : 30 }, (_block, at) =>
      ids.id(isAsked && at < 10 ? `document ${(index / 3) % 4} ${at}` : `${index} ${at}`),
    );
    const size = { promptTokens: 16 * blocks.length, outputTokens: 20 };
    const call = { agent: "", blocks: Int32Array.from(blocks), anchorBlocks: 0, ...size };
    return {
      call,
      run: index,
      thread: index,
      recorded: { id: String(index), calls: [call] },
      at: index,
      isLast: true,
    };
  });
  const runs = calls.map(({ recorded }) => recorded);
  const workload = { name: "questions", blockTokens: 16, blockCount: ids.count, runs };
  return { workload, concurrency: 1, seed: 1, isTimed: false, calls, workingSet: ids.count };
}

test("what runs come to again and again stays, though no open run or agent speaks for it", () => {
  const played = questions();
  // A document is asked about every 12 calls, in which 280 blocks come.
  const capacity = 150;
  expect(replay(played, lru, { capacity }).hits).toBe(0);
  expect(replay(played, cachesage, { capacity }).hits).toBeGreaterThan(0.8 * 10 * 296);
});

/** Runs of four agents in one of three orders, whose system messages are long, and end with the user's name. */
function named(): Workload {
  const ids = new BlockIds();
  const runs = Array.from({ length: 60 }, (_, run): RecordedRun => {
    const calls = Array.from({ length: 8 }, (_call, turn) => {
      const agent = `agent ${(turn * (1 + (run % 3))) % 4}`;
      const blocks = Int32Array.from({ length: 24 + 3 * turn }, (_block, at) =>
        ids.id(at < 20 ? `${agent} ${at}` : `${agent} ${run} ${at}`),
      );
      return { agent, blocks, anchorBlocks: 21, promptTokens: 16 * blocks.length, outputTokens: 50 };
    });
    return { id: String(run), calls };
  });
  return { name: "named", blockTokens: 16, blockCount: ids.count, runs };
}

test.each([cachesage, live])(
  "what an agent's anchors begin with alike is kept as one that all runs use: $name",
  (policy) => {
    const played = schedule(named(), { concurrency: 8, seed: 1, order: "random" });
    // Four beginnings of 20 blocks, and little more.
    const { hits, calls } = replay(played, policy, { capacity: 100 });
    expect(hits / calls).toBeGreaterThan(20);
  },
);

/** Runs of one agent that calls again and again with a prompt that grows, as a coding agent does: all are alike. */
function loops(): Workload {
  const ids = new BlockIds();
  const runs = Array.from({ length: 60 }, (_, run): RecordedRun => {
    const turns = 4 + ((run * 7) % 17);
    const calls = Array.from({ length: turns }, (_call, turn) => {
      const blocks = Int32Array.from({ length: 10 + (run % 5) * 10 + 6 * turn }, (_block, i) =>
        ids.id(`${run} ${i}`),
      );
      return { agent: "coder", blocks, anchorBlocks: 2, promptTokens: 16 * blocks.length, outputTokens: 50 };
    });
    return { id: String(run), calls };
  });
  return { name: "loops", blockTokens: 16, blockCount: ids.count, runs };
}

test("what several open runs hold is worth what it is to them together", () => {
  // Runs 0 and 1 ask about one document, each back with a rate of 2/3 uses a step (value 0.4); run 2, with a rate of 1, about another.
  const learner = {
    observe: () => {},
    next: () => [],
    branch: () => 0,
    nextBranch: () => 0,
    reuse: ({ run }: { readonly run?: string }) => (run === undefined ? 0 : run === "2" ? 0.5 : 0.4),
  };
  const resident = new Set<number>();
  const context = {
    blockTokens: 16,
    blockCount: 8,
    isTimed: false,
    isResident: (block: number) => resident.has(block),
  };
  const policy = new LearnedPolicy(context as unknown as CacheContext, {}, learner);
  for (const [run, blocks] of [
    [0, 1, 2, 3],
    [0, 1, 2, 3],
    [4, 5, 6, 7],
  ].entries()) {
    for (const block of blocks) resident.add(block);
    const place = { session: undefined, step: undefined, namespace: undefined, at: run };
    policy.request({
      index: run,
      run,
      agent: "qa",
      blocks: Int32Array.from(blocks),
      anchorBlocks: 0,
      ...place,
    });
  }
  const victims = Array.from({ length: 8 }, () => {
    const block = policy.victim();
    resident.delete(block);
    return block;
  });
  // Together 4/3 uses a step: the other document goes first, each from its tail on.
  expect(victims).toEqual([7, 6, 5, 4, 3, 2, 1, 0]);
});

test("goes by last use where nothing tells runs apart, from the first call on", () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const played = schedule(loops(), { concurrency: 8, seed, order: "random", maxTouches: 12_000 });
    expect(played.calls.length).toBeLessThan(300);
    const capacity = Math.round(played.workingSet / 4);
    const learned = replay(played, noGuard, { capacity });
    const recent = replay(played, lru, { capacity });
    expect((learned.hits - recent.hits) / learned.touches).toBeGreaterThan(-0.005);
  }
});

test("brings back what a run is about to use, where there is time to", () => {
  // Each run goes writer, critic, writer, critic, and so on; prompts of four runs do not fit beside each other.
  const runs = Array.from({ length: 24 }, (_run, run) =>
    Array.from({ length: 12 }, (_, step) => `${run}:${step % 2 === 0 ? "writer" : "critic"}`),
  );
  const order = Array.from({ length: 6 }, (_group, group) =>
    Array.from({ length: 12 }, (_, step) => runs.slice(4 * group, 4 * group + 4).map((run) => run[step])),
  ).flat(2);
  const ids = new BlockIds();
  const recorded = runs.map((_, run): RecordedRun => ({ id: String(run), calls: [] }));
  const calls = order.map((name = "", at): ScheduledCall => {
    const [run = "0", agent = ""] = name.split(":");
    const blocks = Int32Array.from({ length: 10 }, (_, i) => ids.id(`${run} ${agent} ${i}`));
    const call = { agent, blocks, anchorBlocks: 0, promptTokens: 160, outputTokens: 5 };
    const index = Number(run);
    const isLast = order.lastIndexOf(order.findLast((other) => other?.startsWith(`${run}:`))) === at;
    return { call, run: index, thread: index, recorded: recorded[index] as RecordedRun, at, isLast };
  });
  const workload = { name: "pairs", blockTokens: 16, blockCount: ids.count, runs: recorded };
  const played = { workload, concurrency: 4, seed: 1, isTimed: false, calls, workingSet: 80 };
  const plain = replay(played, noGuard, { capacity: 40 });
  const ahead = replay(played, noGuard, { capacity: 40, prefetchBlocks: 10 });
  expect(plain.prefetch).toEqual({ used: 0, wasted: 0 });
  expect(ahead.prefetch.used).toBeGreaterThan(2 * ahead.prefetch.wasted);
  expect(ahead.hits).toBeGreaterThan(1.2 * plain.hits);
});

test("keeps its books on any workload, also with time to compute ahead", () => {
  const settings = fc.record({ concurrency: fc.integer({ min: 1, max: 4 }), seed: fc.nat(1000) });
  const sizes = fc.record({
    capacity: fc.integer({ min: 1, max: 12 }),
    prefetchBlocks: fc.integer({ min: 1, max: 6 }),
  });
  fc.assert(
    fc.property(
      chainedWorkload,
      settings,
      sizes,
      fc.constantFrom(noGuard, cachesage),
      (workload, given, size, policy) => {
        const { hits, touches, prefetch } = replay(schedule(workload, given), policy, size);
        expect(hits).toBeLessThanOrEqual(touches);
        expect(Math.min(prefetch.used, prefetch.wasted)).toBeGreaterThanOrEqual(0);
      },
    ),
  );
});

test("the learner is told how a run ended: one that was interrupted has no end to learn from", () => {
  const given = written("1:a 2:b");
  const calls = given.calls.map((one) =>
    one.run === 0 ? { ...one, recorded: { ...one.recorded, status: "interrupted" as const } } : one,
  );
  const told: string[] = [];
  const learner = {
    observe: (event: Event) => void (event.type === "run-end" && told.push(`${event.run} ${event.status}`)),
    next: () => [],
    branch: () => 0,
    nextBranch: () => 0,
    reuse: () => 0,
  };
  const baseline = { ...noGuard, create: (context: CacheContext) => new LearnedPolicy(context, {}, learner) };
  replay({ ...given, calls }, baseline, { capacity: 9 });
  expect(told).toEqual(["0 interrupted", "1 completed"]);
});

/** Runs of two agents with a task each of 20 blocks, which stays, and after it 16 blocks that were looked up for the call alone. */
function lookedUp(): Workload {
  const ids = new BlockIds();
  const runs = Array.from({ length: 60 }, (_, run): RecordedRun => {
    const calls = Array.from({ length: 12 }, (__, step) => {
      const agent = step % 2 === 0 ? "researcher" : "writer";
      const task = Array.from({ length: 20 }, (___, i) => ids.id(`${run} ${agent} ${i}`));
      const documents = Array.from({ length: 16 }, (___, i) => ids.id(`${run} ${step} ${i}`));
      const blocks = Int32Array.from([ids.id(agent), ...task, ...documents]);
      return { agent, blocks, anchorBlocks: 1, promptTokens: 16 * blocks.length, outputTokens: 20 };
    });
    return { id: `${run}`, calls };
  });
  return { name: "looked up", blockTokens: 16, blockCount: ids.count, runs };
}

test("of a prompt that ends with what was looked up for it, an app's engine keeps what stands before that", () => {
  const given = schedule(lookedUp(), { concurrency: 8, seed: 1, order: "random" });
  const hitRate = (policy: Baseline) => {
    const { hits, touches } = replay(given, policy, { capacity: 300 });
    return hits / touches;
  };
  // Sixteen tasks of 20 blocks and a prompt of 37 are all that is worth keeping of 594.
  expect(hitRate(lru)).toBeLessThan(0.3);
  expect(hitRate(cachesage)).toBeGreaterThan(0.4);
  expect(hitRate(live)).toBeGreaterThan(hitRate(cachesage) - 0.01);
});

/** Runs of a node that writes, with all that it wrote before, and reviews, with nothing of it: two prompts in turn. */
function writtenAndReviewed(): Workload {
  const ids = new BlockIds();
  const runs = Array.from({ length: 60 }, (_, run): RecordedRun => {
    const calls = Array.from({ length: 12 }, (__, step) => {
      const about = step % 2 === 0 ? "write" : `review ${step}`;
      const length = step % 2 === 0 ? 10 + step : 6;
      const history = Array.from({ length }, (___, i) => ids.id(`${run} ${about} ${i}`));
      const blocks = Int32Array.from([ids.id("system"), ...history]);
      return {
        agent: "engineer",
        blocks,
        anchorBlocks: 1,
        promptTokens: 16 * blocks.length,
        outputTokens: 20,
      };
    });
    return { id: `${run}`, calls };
  });
  return { name: "written and reviewed", blockTokens: 16, blockCount: ids.count, runs };
}

test("what an agent goes back to stays while it calls about something else", () => {
  const given = schedule(writtenAndReviewed(), { concurrency: 8, seed: 1, order: "random" });
  const hitRate = (policy: Baseline) => {
    const { hits, touches } = replay(given, policy, { capacity: 60 });
    return hits / touches;
  };
  // A fourth of what the eight open runs use. Who knows what each of them does next, the order oracle, hits 39 %.
  expect(hitRate(lru)).toBeLessThan(0.18);
  expect(hitRate(cachesage)).toBeGreaterThan(0.36);
  expect(hitRate(live)).toBeGreaterThan(0.36);
});
