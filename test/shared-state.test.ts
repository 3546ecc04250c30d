import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { countsOf } from "../src/learn/exchange.ts";
import { LearnedPredictor } from "../src/learn/predictor.ts";
import { parseState } from "../src/learn/state.ts";
import type { Event } from "../src/runtime/event.ts";
import type { Store } from "../src/runtime/store.ts";
import { SharedState } from "../src/shared-state.ts";
import { MemoryStore } from "../src/stores/memory.ts";
import { Talks } from "./learn/talks.ts";
import { App } from "./runtime/app.ts";

/** One of several processes: what happens in it is learned by its predictor, and shared. */
class Peer {
  readonly predictor = new LearnedPredictor();
  readonly faults: unknown[] = [];
  readonly warnings: string[] = [];
  readonly shared: SharedState;

  constructor(store: Store, engine = "http://engine/v1") {
    const { predictor } = this;
    const onFault = (error: unknown) => void this.faults.push(error);
    const warn = (message: string) => void this.warnings.push(message);
    this.shared = new SharedState({ store, predictor, everyMs: 1000, engine, onFault, warn });
  }

  see(events: readonly Event[]): void {
    for (const event of events) {
      this.predictor.observe(event);
      this.shared.observe(event);
    }
  }
}

const app = new App();
let runs = 0;
const run = (...agents: string[]) => app.run(`${++runs}`, ...agents);
/** All that is counted, whatever the agents' numbers. How far counts are trusted each process finds out for itself. */
const known = (predictor: LearnedPredictor) => Object.fromEntries(countsOf(parseState(predictor.snapshot())));
const alone = (...all: readonly (readonly Event[])[]) => {
  const predictor = new LearnedPredictor();
  for (const event of all.flat()) predictor.observe(event);
  return known(predictor);
};

describe("processes that share a store", () => {
  test("know after one exchange each what one process would know that saw it all", async () => {
    const store = new MemoryStore();
    const [left, right] = [new Peer(store), new Peer(store)];
    const seen = [run("a", "b"), run("a", "c"), run("a", "c"), run("b", "a", "c")] as const;
    left.see(seen.slice(0, 2).flat());
    right.see(seen.slice(2).flat());
    for (let round = 0; round < 3; round++) for (const peer of [left, right]) await peer.shared.exchange();
    expect(known(left.predictor)).toEqual(alone(...seen));
    expect(known(right.predictor)).toEqual(alone(...seen));
    expect([...left.faults, ...right.faults]).toEqual([]);
  });

  test("hand what they know to one that starts later, and nothing twice", async () => {
    const store = new MemoryStore();
    const before = new Peer(store);
    const seen = run("a", "b", "c");
    before.see(seen);
    await before.shared.start();
    await before.shared.close();
    const after = new Peer(store);
    await after.shared.start();
    await after.shared.exchange();
    expect(known(after.predictor)).toEqual(alone(seen));
    await after.shared.close();
  });

  test("count a run that goes on over several exchanges as one", async () => {
    const store = new MemoryStore();
    const peer = new Peer(store);
    const seen = run("a", "b", "a", "c");
    for (const event of seen) {
      peer.see([event]);
      await peer.shared.exchange();
    }
    const late = new Peer(store);
    await late.shared.exchange();
    expect(known(late.predictor)).toEqual(alone(seen));
  });

  test("know which prompt of an agent comes next from what others have seen", async () => {
    const store = new MemoryStore();
    const [left, right] = [new Peer(store), new Peer(store)];
    const seen = ["left", "right"].map((name) => new Talks().twoThings(4, name));
    left.see(seen[0] ?? []);
    right.see(seen[1] ?? []);
    for (let round = 0; round < 3; round++) for (const peer of [left, right]) await peer.shared.exchange();
    expect(known(left.predictor)).toEqual(alone(...seen));
    expect(known(right.predictor)).toEqual(alone(...seen));
    const late = new Peer(store);
    await late.shared.exchange();
    // Up to the second thing's first call: this process has not seen the agent go back.
    late.see(new Talks().twoThings(1, "late").slice(0, 4));
    expect(late.predictor.branch("late 0", "coder")).toBe(1);
    expect(late.predictor.nextBranch("late 0", "coder")).toBe(0);
    expect(late.predictor.reuse({ agent: "coder", run: "late 0", branch: 0 })).toBeGreaterThan(0.1);
    expect([left, right, late].flatMap((peer) => peer.faults)).toEqual([]);
  });

  test("keep what they know when the state is reset, and share what comes then", async () => {
    const store = new MemoryStore();
    const [left, right] = [new Peer(store), new Peer(store)];
    const [old, young] = [run("a", "b"), run("a", "c")];
    left.see(old);
    await left.shared.exchange();
    await right.shared.exchange();
    await store.reset();
    await right.shared.exchange();
    left.see(young);
    await left.shared.exchange();
    await right.shared.exchange();
    expect(known(right.predictor)).toEqual(alone(old, young));
  });

  test("send a prefetch once, and may repeat their own; those for another engine are not the same", async () => {
    const store = new MemoryStore();
    const [left, right, other] = [new Peer(store), new Peer(store), new Peer(store, "http://other/v1")];
    const body = { messages: [{ role: "user", content: "x" }] };
    expect(await left.shared.mayPrefetch(body)).toBe(true);
    expect(await right.shared.mayPrefetch(body)).toBe(false);
    expect(await left.shared.mayPrefetch(body)).toBe(true);
    expect(await other.shared.mayPrefetch(body)).toBe(true);
  });
});

describe("a store that is no good", () => {
  beforeEach(
    () => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] }),
  );
  afterEach(() => void vi.useRealTimers());
  const down = new Error("down");

  test("costs nothing but time: what it missed is sent when it is back, once", async () => {
    const store = new MemoryStore();
    const add = vi.spyOn(store, "add").mockRejectedValueOnce(down);
    const peer = new Peer(store);
    const seen = [run("a", "b"), run("a", "c")] as const;
    peer.see(seen[0]);
    await peer.shared.exchange();
    expect(peer.faults).toEqual([down]);
    peer.see(seen[1]);
    await peer.shared.exchange();
    await peer.shared.exchange();
    expect(add.mock.calls.map(([{ sequence }]) => sequence)).toEqual([1, 1, 2]);
    expect(peer.shared.stats).toEqual({ store: "memory", batches: 2, waiting: 0, failures: 1 });
    const late = new Peer(store);
    await late.shared.exchange();
    expect(known(late.predictor)).toEqual(alone(...seen));
  });

  test("leaves no more waiting than a store holds, however long it is down", async () => {
    const peer = new Peer(new MemoryStore());
    let seed = 1;
    const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) % 100;
    let most = 0;
    for (let i = 0; i < 40; i++) {
      peer.see(run(...Array.from({ length: 100 }, () => `agent ${random()}`)));
      await turn();
      most = Math.max(most, peer.shared.stats.waiting);
    }
    expect(most).toBe(16_384);
  });

  test("is told of once, until it is good again", async () => {
    const store = new MemoryStore();
    const load = vi.spyOn(store, "load");
    const peer = new Peer(store);
    for (const isDown of [true, true, false, false, true]) {
      if (isDown) load.mockRejectedValueOnce(down);
      await peer.shared.exchange();
    }
    const told = "down; what is learned waits in this process until its store answers";
    expect(peer.warnings).toEqual([told, told]);
  });

  test("that takes a batch but does not say so is not given it twice", async () => {
    const store = new MemoryStore();
    const add = store.add.bind(store);
    vi.spyOn(store, "add").mockImplementationOnce(async (batch) => {
      await add(batch);
      throw down;
    });
    const peer = new Peer(store);
    const seen = run("a", "b");
    peer.see(seen);
    await peer.shared.exchange();
    await peer.shared.exchange();
    expect(known(peer.predictor)).toEqual(alone(seen));
  });

  test("that never answers holds up neither start nor close, and no exchange begins beside another", async () => {
    const store = new MemoryStore();
    const load = vi.spyOn(store, "load").mockReturnValue(new Promise(() => {}));
    const peer = new Peer(store);
    const starting = peer.shared.start();
    await vi.advanceTimersByTimeAsync(2000);
    await starting;
    peer.see(run("a", "b"));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(load).toHaveBeenCalledTimes(1);
    const closing = peer.shared.close();
    await vi.advanceTimersByTimeAsync(2000);
    await closing;
    expect(vi.getTimerCount()).toBe(0);
  });

  test("that holds nonsense is a fault, and changes nothing", async () => {
    const store = new MemoryStore();
    vi.spyOn(store, "load").mockResolvedValue({
      version: "1",
      epoch: "1",
      counts: new Map([["x", Number.NaN]]),
    });
    const peer = new Peer(store);
    await peer.shared.exchange();
    expect(known(peer.predictor)).toEqual(alone());
  });

  test("that does not answer about a lease lets the prefetch go", async () => {
    const store = new MemoryStore();
    const lease = vi.spyOn(store, "lease").mockReturnValueOnce(new Promise(() => {}));
    const peer = new Peer(store);
    const asking = peer.shared.mayPrefetch({});
    await vi.advanceTimersByTimeAsync(50);
    expect(await asking).toBe(true);
    lease.mockRejectedValueOnce(down);
    expect(await peer.shared.mayPrefetch({ other: true })).toBe(true);
    expect(peer.faults).toEqual([]);
  });

  test("exchanges by itself, and waits for nothing on the request path", async () => {
    const store = new MemoryStore();
    const peer = new Peer(store);
    await peer.shared.start();
    const add = vi.spyOn(store, "add");
    peer.see(run("a", "b"));
    expect(add).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1000);
    await turn();
    expect(add).toHaveBeenCalledTimes(1);
    await peer.shared.close();
  });
});

const peer = (store: Store, states: Record<string, unknown>, restored: unknown[] = []) =>
  new SharedState({
    store,
    predictor: new LearnedPredictor(),
    everyMs: 1000,
    engine: "http://engine/v1",
    onFault: (error) => {
      throw error;
    },
    warn: () => {},
    policies: {
      snapshot: () => ({ version: 1, states }),
      restore: (given) => void restored.push(given),
    },
  });

describe("the states of policies", () => {
  test("are given back to the next process, those of policies that are not at work kept, and written only when changed", async () => {
    const store = new MemoryStore();
    const put = vi.spyOn(store, "put");
    const own = { routing: { a: 1 }, admission: { limit: 3 } };
    const before = peer(store, own);
    await before.exchange();
    await before.exchange();
    expect(put).toHaveBeenCalledTimes(1);
    const restored: unknown[] = [];
    const after = peer(store, { admission: { limit: 5 } }, restored);
    await after.exchange();
    await after.exchange();
    expect(restored).toEqual([{ version: 1, states: own }]);
    expect(JSON.parse((await store.get("policies")) ?? "")).toEqual({
      version: 1,
      states: { routing: { a: 1 }, admission: { limit: 5 } },
    });
  });

  test("that cannot be read are told of as none, and a store that keeps counts alone is no fault", async () => {
    const store = new MemoryStore();
    await store.put("policies", "{broken");
    const restored: unknown[] = [];
    await peer(store, {}, restored).exchange();
    expect(restored).toEqual([null]);
    const { name, namespace } = store;
    const counting: Store = {
      name,
      namespace,
      add: (batch) => store.add(batch),
      load: (version) => store.load(version),
      reset: () => store.reset(),
      close: () => store.close(),
    };
    await peer(counting, { routing: {} }).exchange();
  });
});
