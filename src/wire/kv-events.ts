import { EngineError, messageOf, MissingDependencyError } from "../errors.ts";
import type { CacheEvent, GapEvent } from "../runtime/cache-event.ts";
import { type Batch, readBatch } from "./kv-event-batch.ts";

export interface KvEventStream {
  /** Address of the publisher, such as `tcp://10.0.0.1:5557`. */
  readonly endpoint: string;
  /** Address that sends missed batches once more, when the engine offers one. */
  readonly replayEndpoint?: string | undefined;
  /** Only messages whose topic begins so; default: all. */
  readonly topic?: string | undefined;
  /** True when the publishers dial in and this side is the one that binds, as llm-d has it. Default false. */
  readonly bind?: boolean | undefined;
  /** Batches held for a slow reader; beyond that ZeroMQ drops, which shows as a `gap`. Default 1,000. */
  readonly maxQueued?: number | undefined;
  /** Milliseconds that a replay may be silent before it is given up. Default 2,000. */
  readonly replayMs?: number | undefined;
}

type ZeroMq = typeof import("zeromq");
type Unpack = (payload: Uint8Array) => unknown;
type Frames = readonly Uint8Array[];

interface Message {
  readonly topic: string;
  readonly sequence: bigint;
  readonly payload: Uint8Array;
}

/** What a replay ends with: a sequence number of -1. */
const END_OF_REPLAY = -1n;

/**
 * KV events of an engine over ZeroMQ, in the order of their sequence numbers, until the signal aborts. What was missed, also
 * before this began, is asked for once more where there is a replay address; what stays missing is told as a `gap`, and so is a
 * publisher that starts counting anew. Holds at most `maxQueued` batches.
 *
 * Throws MissingDependencyError when the optional peers zeromq and msgpackr are not installed, EngineError when the address
 * cannot be used.
 */
export async function* kvEvents(stream: KvEventStream, signal?: AbortSignal): AsyncGenerator<CacheEvent> {
  const { zeromq, unpack } = await loadPeers();
  if (signal?.aborted) return;
  const socket = new zeromq.Subscriber({
    linger: 0,
    receiveHighWaterMark: stream.maxQueued ?? 1000,
  });
  const close = (): void => socket.close();
  signal?.addEventListener("abort", close, { once: true });
  try {
    await open(socket, stream);
    socket.subscribe(stream.topic ?? "");
    const reader = new StreamReader(stream, unpack, (from) => replay(zeromq, stream, from, signal));
    // What the engine holds already is in its replay buffer.
    if (stream.replayEndpoint !== undefined) yield* reader.catchUp();
    for await (const frames of socket) {
      const message = toMessage(frames);
      if (message && message.sequence >= 0n) yield* reader.read(message);
      else yield reader.gap("unreadable");
    }
  } catch (error) {
    if (!signal?.aborted) throw error;
  } finally {
    signal?.removeEventListener("abort", close);
    if (!socket.closed) socket.close();
  }
}

async function open(
  socket: InstanceType<ZeroMq["Subscriber"]>,
  { bind, endpoint }: KvEventStream,
): Promise<void> {
  try {
    if (bind === true) await socket.bind(endpoint);
    else socket.connect(endpoint);
  } catch (cause) {
    throw new EngineError(
      "ENGINE_UNREACHABLE",
      "kv events",
      `cannot listen ${bind === true ? "at" : "to"} ${endpoint}, got ${messageOf(cause)}`,
      { hint: "Check the address among the adapter's events.", cause },
    );
  }
}

/** Puts the messages of one stream in order. Publishers that share a socket have a topic each and count for themselves. */
class StreamReader {
  readonly #stream: KvEventStream;
  readonly #unpack: Unpack;
  readonly #replay: (from: bigint) => AsyncIterable<Message>;
  /** The number that comes next; absent before the first. */
  readonly #next = new Map<string, bigint>();
  /** The replay at the beginning has told what the subscription still brings a second time. */
  #mayOverlap = false;

  constructor(stream: KvEventStream, unpack: Unpack, again: (from: bigint) => AsyncIterable<Message>) {
    this.#stream = stream;
    this.#unpack = unpack;
    this.#replay = again;
  }

  async *catchUp(): AsyncGenerator<CacheEvent> {
    for await (const message of this.#replay(0n)) {
      this.#mayOverlap = true;
      yield* this.#inOrder("", message);
    }
  }

  async *read(message: Message): AsyncGenerator<CacheEvent> {
    const key = this.#stream.replayEndpoint === undefined ? message.topic : "";
    if (message.sequence < this.#expected(key)) {
      // A lower number than the one before is a new beginning, unless a replay told it already.
      if (this.#mayOverlap && message.sequence > 0n) return;
      yield this.gap("restart", message.topic);
      this.#next.delete(key);
    }
    this.#mayOverlap = false;
    if (message.sequence > this.#expected(key))
      for await (const missing of this.#replay(this.#expected(key))) {
        if (missing.sequence >= message.sequence) break;
        yield* this.#inOrder(key, missing);
      }
    yield* this.#inOrder(key, message);
  }

  gap(reason: GapEvent["reason"], topic = "", missed?: bigint): GapEvent {
    const at = performance.now();
    const source = this.#place(topic);
    return { type: "gap", at, source, reason, ...(missed !== undefined && { missed: Number(missed) }) };
  }

  #expected(key: string): bigint {
    return this.#next.get(key) ?? 0n;
  }

  *#inOrder(key: string, message: Message): Generator<CacheEvent> {
    // llm-d-inference-sim counts from 1, all others from 0.
    const isFirst = message.sequence === 1n && !this.#next.has(key);
    const missed = isFirst ? 0n : message.sequence - this.#expected(key);
    if (missed < 0n) return;
    if (missed > 0n) yield this.gap("lost", message.topic, missed);
    yield* this.#take(key, message);
  }

  #take(key: string, { topic, sequence, payload }: Message): readonly CacheEvent[] {
    this.#next.set(key, sequence + 1n);
    let batch: Batch;
    try {
      batch = readBatch(this.#unpack(payload));
    } catch {
      return [this.gap("unreadable", topic)];
    }
    const at = performance.now();
    const lagMs = batch.publishedMs === undefined ? undefined : Math.max(0, Date.now() - batch.publishedMs);
    const place = this.#place(topic);
    const source = batch.rank === 0 ? place : `${place} rank ${batch.rank}`;
    return batch.events.map((event) => ({ ...event, at, source, ...(lagMs !== undefined && { lagMs }) }));
  }

  #place(topic: string): string {
    return topic === "" ? this.#stream.endpoint : `${this.#stream.endpoint} ${topic}`;
  }
}

/** Asks for everything from a sequence number on. A server that does not answer in time costs what it would have told. */
async function* replay(
  zeromq: ZeroMq,
  stream: KvEventStream,
  from: bigint,
  signal: AbortSignal | undefined,
): AsyncGenerator<Message> {
  if (stream.replayEndpoint === undefined || signal?.aborted) return;
  const socket = new zeromq.Dealer({ linger: 0, receiveTimeout: stream.replayMs ?? 2000, sendTimeout: 500 });
  const close = (): void => socket.close();
  signal?.addEventListener("abort", close, { once: true });
  try {
    socket.connect(stream.replayEndpoint);
    const start = Buffer.alloc(8);
    start.writeBigInt64BE(from);
    await socket.send([Buffer.alloc(0), start]);
    for await (const frames of socket) {
      // The delimiter comes back before the frames; some publishers send the topic as well.
      const message = toMessage(frames[0]?.length === 0 && frames.length > 2 ? frames.slice(1) : frames);
      if (!message || message.sequence === END_OF_REPLAY) break;
      yield message;
    }
  } catch {
    // Too slow, or closed.
  } finally {
    signal?.removeEventListener("abort", close);
    if (!socket.closed) socket.close();
  }
}

/** `[topic, sequence, payload]`, or without the topic. */
function toMessage(frames: Frames): Message | undefined {
  const [sequence, payload] = frames.slice(-2);
  const topic = frames.length > 2 ? frames[frames.length - 3] : undefined;
  if (!sequence || !payload || sequence.length !== 8) return undefined;
  const view = new DataView(sequence.buffer, sequence.byteOffset, 8);
  return {
    topic: topic === undefined ? "" : Buffer.from(topic).toString(),
    sequence: view.getBigInt64(0),
    payload,
  };
}

async function loadPeers(): Promise<{ readonly zeromq: ZeroMq; readonly unpack: Unpack }> {
  const zeromq = await import("zeromq").catch((cause: unknown) => notInstalled("zeromq", cause));
  const { Unpackr } = await import("msgpackr").catch((cause: unknown) => notInstalled("msgpackr", cause));
  // Hashes are integers of 64 bits, which a number cannot hold.
  const unpackr = new Unpackr({ int64AsType: "bigint", mapsAsObjects: true, useRecords: false });
  return { zeromq, unpack: (payload) => unpackr.unpack(payload) };
}

function notInstalled(peer: string, cause: unknown): never {
  throw new MissingDependencyError("kv events", peer, cause);
}
