import { setTimeout as delay } from "node:timers/promises";
import { Packr } from "msgpackr";
import { afterEach, expect, test } from "vitest";
import { Router, XPublisher } from "zeromq";
import { ResidentPrefixes } from "./resident-prefixes.ts";
import type { CacheEvent } from "../../src/runtime/cache-event.ts";
import { createEngine } from "../../src/engine-registry.ts";
import { kvEvents, type KvEventStream } from "../../src/wire/kv-events.ts";
import { freePort } from "../free-port.ts";

const packr = new Packr({ useRecords: false });

/** Milliseconds for a replay that comes: no test waits for them, however busy the machine is. */
const ENOUGH_MS = 10_000;

/** Publishes as engines do: topic, number, batch; and sends its buffer once more to who asks. */
class LivePublisher {
  readonly #publisher = new XPublisher({ linger: 0 });
  readonly #router = new Router({ linger: 0 });
  readonly buffer = new Map<number, Buffer>();

  async start({ endpoint, replayEndpoint }: Partial<KvEventStream> = {}): Promise<KvEventStream> {
    await this.#publisher.bind(endpoint ?? "tcp://127.0.0.1:0");
    await this.#router.bind(replayEndpoint ?? "tcp://127.0.0.1:0");
    void this.#answer();
    return {
      endpoint: this.#publisher.lastEndpoint ?? "",
      replayEndpoint: this.#router.lastEndpoint ?? "",
      replayMs: ENOUGH_MS,
    };
  }

  /** Resolves when a reader has arrived: ZeroMQ drops what is published before. */
  async heard(): Promise<void> {
    await this.#publisher.receive();
  }

  keep(sequence: number, payload = batch(sequence)): Buffer {
    this.buffer.set(sequence, payload);
    return payload;
  }

  async send(sequence: number, payload = this.keep(sequence)): Promise<void> {
    await this.#publisher.send(["", number(sequence), payload]);
  }

  stop(): void {
    this.#publisher.close();
    this.#router.close();
  }

  async #answer(): Promise<void> {
    for await (const [who, , start] of this.#router) {
      const from = Number(start?.readBigInt64BE() ?? 0);
      for (const [sequence, payload] of this.buffer)
        if (sequence >= from) await this.#router.send([who ?? "", "", number(sequence), payload]);
      await this.#router.send([who ?? "", "", number(-1), ""]);
    }
  }
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}

/** A batch that stores one block, named by its number; its publisher has no clock unless it says the time. */
function batch(sequence: number, seconds = 0): Buffer {
  return packr.pack([seconds, [["BlockStored", [1000 + sequence], null, [sequence], 1, null, "GPU"]], 0]);
}

const open: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

/** What was read so far, in words. */
function read(stream: KvEventStream): readonly string[] {
  const words: string[] = [];
  const controller = new AbortController();
  const done = (async () => {
    for await (const event of kvEvents(stream, controller.signal)) words.push(inWords(event));
  })();
  open.push(async () => {
    controller.abort();
    await done;
  });
  return words;
}

function inWords(event: CacheEvent): string {
  if (event.type === "block-stored") return `stored ${event.blocks.join()}`;
  return event.type === "gap" ? `gap ${event.reason} ${event.missed ?? ""}`.trim() : event.type;
}

async function started() {
  const publisher = new LivePublisher();
  const stream = await publisher.start();
  open.push(() => publisher.stop());
  return { publisher, stream };
}

/** Publishes a first batch, which no replay brings as well, to a reader that has arrived; returns the number of the next one. */
async function connected(publisher: LivePublisher, words: readonly string[]): Promise<number> {
  await publisher.heard();
  await publisher.send(0, batch(0));
  await expect.poll(() => words).toEqual(["stored 1000"]);
  return 1;
}

test("what the engine held before comes first, from its replay buffer", async () => {
  const { publisher, stream } = await started();
  for (const sequence of [4, 5, 6]) publisher.keep(sequence);
  const words = read(stream);
  // The buffer has lost what was before.
  await expect.poll(() => words).toEqual(["gap lost 4", "stored 1004", "stored 1005", "stored 1006"]);
});

test("who comes late is told that something was before, but for publishers that count from 1", async () => {
  for (const [sequence, heard] of [
    [7, ["gap lost 7", "stored 1007"]],
    [1, ["stored 1001"]],
  ] as const) {
    const { publisher, stream } = await started();
    const words = read({ endpoint: stream.endpoint });
    await publisher.heard();
    await publisher.send(sequence);
    await expect.poll(() => words).toEqual(heard);
  }
});

test("of a publisher that comes late, what was said before it was heard is asked for", async () => {
  const [endpoint, replayEndpoint] = [await freePort(), await freePort()].map(
    (port) => `tcp://127.0.0.1:${port}`,
  );
  // At first nobody is there to answer.
  let replayMs = 50;
  const stream = {
    endpoint: endpoint ?? "",
    replayEndpoint,
    get replayMs() {
      return replayMs;
    },
  };
  const words = read(stream);
  await delay(300);
  replayMs = ENOUGH_MS;
  const publisher = new LivePublisher();
  open.push(() => publisher.stop());
  await publisher.start(stream);
  for (const sequence of [0, 1, 2]) publisher.keep(sequence);
  await publisher.heard();
  await publisher.send(2);
  await expect.poll(() => words).toEqual(["stored 1000", "stored 1001", "stored 1002"]);
});

test("batches that were missed are asked for, and put in order", async () => {
  const { publisher, stream } = await started();
  const words = read(stream);
  const next = await connected(publisher, words);
  const before = words.length;
  publisher.keep(next);
  publisher.keep(next + 1);
  await publisher.send(next + 2);
  await expect
    .poll(() => words.slice(before))
    .toEqual([next, next + 1, next + 2].map((sequence) => `stored ${1000 + sequence}`));
});

test("what stays missing is a gap, and reading goes on", async () => {
  const { publisher, stream } = await started();
  const words = read({ endpoint: stream.endpoint });
  const next = await connected(publisher, words);
  const before = words.length;
  await publisher.send(next + 3);
  await publisher.send(next + 4);
  await expect
    .poll(() => words.slice(before))
    .toEqual(["gap lost 3", `stored ${1003 + next}`, `stored ${1004 + next}`]);
});

test("an engine that counts anew is a restart", async () => {
  const { publisher, stream } = await started();
  const words = read(stream);
  const next = await connected(publisher, words);
  await publisher.send(next);
  await expect.poll(() => words.at(-1)).toBe(`stored ${1000 + next}`);
  const before = words.length;
  publisher.buffer.clear();
  await publisher.send(0);
  await publisher.send(1);
  await expect.poll(() => words.slice(before)).toEqual(["gap restart", "stored 1000", "stored 1001"]);
  for (const sequence of [2, 3, 4, 5]) await publisher.send(sequence);
  await expect.poll(() => words.at(-1)).toBe("stored 1005");
  const later = words.length;
  publisher.buffer.clear();
  publisher.keep(0);
  publisher.keep(1);
  await publisher.send(2);
  await expect
    .poll(() => words.slice(later))
    .toEqual(["gap restart", "stored 1000", "stored 1001", "stored 1002"]);
});

test("an address that cannot be used is named", async () => {
  const { stream } = await started();
  for (const wrong of [{ endpoint: "tcp://nowhere:" }, { endpoint: stream.endpoint, bind: true }])
    await expect(kvEvents(wrong).next()).rejects.toThrow(
      new RegExp(`\\[kv events\\] cannot listen (to|at) ${wrong.endpoint}, got .+\nCheck the address`),
    );
});

test("garbage is a gap of its own, and reading goes on", async () => {
  const { publisher, stream } = await started();
  const words = read({ endpoint: stream.endpoint });
  const next = await connected(publisher, words);
  const before = words.length;
  await publisher.send(next, Buffer.from([0xc1, 0xff]));
  await publisher.send(next + 1, packr.pack("no batch"));
  await publisher.send(next + 2);
  await expect
    .poll(() => words.slice(before))
    .toEqual(["gap unreadable", "gap unreadable", `stored ${1002 + next}`]);
});

test("a batch with a time has a lag, one without has none; and a gap names the topic that it is about", async () => {
  const publisher = new XPublisher({ linger: 0 });
  await publisher.bind("tcp://127.0.0.1:0");
  const endpoint = publisher.lastEndpoint ?? "";
  const events: CacheEvent[] = [];
  const controller = new AbortController();
  const done = (async () => {
    for await (const event of kvEvents({ endpoint }, controller.signal)) events.push(event);
  })();
  open.push(async () => {
    controller.abort();
    await done;
    publisher.close();
  });
  await publisher.receive();
  await publisher.send(["pod-1", number(0), batch(1, Date.now() / 1000 - 2)]);
  await publisher.send(["pod-1", number(4), batch(1)]);
  await expect.poll(() => events).toHaveLength(3);
  const [first, gap, second] = events;
  expect(first).toMatchObject({ source: `${endpoint} pod-1`, lagMs: expect.any(Number) });
  expect(first?.lagMs).toBeGreaterThan(1500);
  expect(gap).toMatchObject({
    type: "gap",
    source: `${endpoint} pod-1`,
    reason: "lost",
    missed: 3,
  });
  expect(second).not.toHaveProperty("lagMs");
});

test("a reader that is too slow loses batches instead of memory, and is told", async () => {
  const { publisher, stream } = await started();
  const controller = new AbortController();
  const events = kvEvents({ endpoint: stream.endpoint, maxQueued: 2 }, controller.signal);
  let [sequence, first] = [0, events.next()];
  await publisher.heard();
  await publisher.send(sequence++);
  await first;
  const large = packr.pack([0, [["BlockStored", [1], null, Array.from({ length: 50_000 }, () => 7), 1]], 0]);
  for (let sent = 0; sent < 3000; sent++) await publisher.send(sequence++, large);
  const seen: string[] = [];
  first = events.next();
  while (!seen.some((words) => words.startsWith("gap lost"))) {
    const { value } = await first;
    if (value) seen.push(inWords(value));
    await publisher.send(sequence++);
    first = events.next();
  }
  expect(seen.length).toBeLessThan(2900);
  controller.abort();
  await first.catch(() => {});
});

test("the signal ends it, also while nothing comes", async () => {
  const controller = new AbortController();
  const events = kvEvents({ endpoint: "tcp://127.0.0.1:9" }, controller.signal);
  const next = events.next();
  controller.abort();
  expect(await next).toEqual({ done: true, value: undefined });
});

test("several servers' streams are read once each, by the server that they are listed for", async () => {
  const publishers = [new LivePublisher(), new LivePublisher()];
  const events = await Promise.all(
    publishers.map(async (publisher, index) => {
      publisher.keep(10 * index);
      const { replayMs: _replayMs, ...stream } = await publisher.start();
      return stream;
    }),
  );
  const urls = ["http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"];
  const adapter = await createEngine("vllm", urls, { events });
  const resident = new ResidentPrefixes();
  const controller = new AbortController();
  let stored = 0;
  const done = (async () => {
    for await (const event of adapter.events?.(controller.signal) ?? []) {
      resident.observe(event);
      if (event.type === "block-stored") stored++;
    }
  })();
  open.push(async () => {
    controller.abort();
    await done;
    await adapter.close();
    for (const publisher of publishers) publisher.stop();
  });
  // Their buffers begin below what comes now, so both are replayed.
  for (const [index, publisher] of publishers.entries()) {
    await publisher.heard();
    await publisher.send(10 * index + 1);
  }
  await expect.poll(() => stored).toBe(4);
  const found = [0, 10, 1, 11].map((token) => resident.find([token]).map(({ source }) => source));
  const [one, other] = events.map(({ endpoint }) => [endpoint]);
  expect(found).toEqual([one, other, one, other]);
  await expect(createEngine("vllm", [...urls, "http://127.0.0.1:3/v1"], { events })).rejects.toThrow(
    /events of 3 servers are needed, got 2 streams/,
  );
});
