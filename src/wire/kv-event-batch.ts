import type { BlockHash, CacheEvent } from "../runtime/cache-event.ts";

/** An event as its batch has it, without when and where. */
export type BatchEvent = DistributiveOmit<
  Exclude<CacheEvent, { readonly type: "gap" }>,
  "at" | "source" | "lagMs"
>;

export interface Batch {
  readonly events: readonly BatchEvent[];
  /** Data-parallel rank of the publisher; 0 when it does not say. */
  readonly rank: number;
  /** When it was published, in milliseconds since 1970 by the publisher's clock; absent when it does not say. */
  readonly publishedMs?: number;
}

/**
 * Reads a batch of KV events as vLLM, SGLang, TensorRT-LLM and Dynamo's mocker publish them, unpacked from msgpack. Both
 * encodings are read, and either shape of the batch: events and batches as arrays by position (vLLM up to 0.23, SGLang) or
 * as maps with a `type` (vLLM from 0.24). Hashes may be integers of 64 bits, signed or not, or bytes. Kinds of events that
 * are not known are left out. Throws when it is no batch at all.
 *
 * Field order: https://github.com/vllm-project/vllm/blob/main/vllm/distributed/kv_events.py
 */
export function readBatch(unpacked: unknown): Batch {
  const [seconds, events, rank] = Array.isArray(unpacked)
    ? (unpacked as readonly unknown[])
    : isMap(unpacked)
      ? [unpacked["ts"], unpacked["events"], unpacked["data_parallel_rank"]]
      : [];
  if (!Array.isArray(events)) throw new TypeError(`no batch of KV events, got ${typeof unpacked}`);
  return {
    events: events.flatMap((event: unknown) => readEvent(event) ?? []),
    rank: Number(rank ?? 0),
    // A publisher without a clock writes 0.
    ...(typeof seconds === "number" && seconds > 0 && { publishedMs: seconds * 1000 }),
  };
}

const storedFields = ["block_hashes", "parent_block_hash", "token_ids", "block_size", "lora_id", "medium"];
const removedFields = ["block_hashes", "medium"];

function readEvent(event: unknown): BatchEvent | undefined {
  const [tag, fields] = Array.isArray(event)
    ? [event[0] as unknown, (names: readonly string[]) => zip(names, event.slice(1))]
    : isMap(event)
      ? [event["type"], () => event]
      : [];
  if (fields === undefined) return undefined;
  if (tag === "AllBlocksCleared") return { type: "cache-cleared" };
  if (tag === "BlockRemoved") return readRemoved(fields(removedFields));
  if (tag !== "BlockStored") return undefined;
  // SGLang's element after the medium is a map of metadata, where vLLM has a LoRA's name.
  const metadata = Array.isArray(event) && isMap(event[7]) ? event[7] : {};
  return readStored({ ...metadata, ...fields(storedFields) });
}

function readStored(fields: Readonly<Record<string, unknown>>): BatchEvent {
  const {
    parent_block_hash: parent,
    token_ids: tokens,
    block_size: size,
    medium,
    session_id: session,
  } = fields;
  return {
    type: "block-stored",
    blocks: hashes(fields["block_hashes"]),
    ...(isHash(parent) && { parent: hash(parent) }),
    tokens: list(tokens).map(Number),
    blockTokens: Number(size ?? 0),
    ...(typeof medium === "string" && { medium }),
    ...(typeof session === "string" && { session }),
  };
}

function readRemoved({ block_hashes: blocks, medium }: Readonly<Record<string, unknown>>): BatchEvent {
  return {
    type: "block-removed",
    blocks: hashes(blocks),
    ...(typeof medium === "string" && { medium }),
  };
}

function hashes(value: unknown): readonly BlockHash[] {
  return list(value).map((item) => hash(item));
}

/** The first block of a prompt follows nothing, which the array encoding of llm-d-inference-sim writes as 0. */
function isHash(value: unknown): boolean {
  return value !== null && value !== undefined && hash(value) !== "0";
}

/** Signed and unsigned forms of one integer are one hash. */
function hash(value: unknown): BlockHash {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (typeof value === "number" || typeof value === "bigint")
    return BigInt.asUintN(64, BigInt(value)).toString();
  return String(value);
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function zip(names: readonly string[], values: readonly unknown[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name, index) => [name, values[index]]));
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !(value instanceof Uint8Array);
}

type DistributiveOmit<Union, Key extends PropertyKey> = Union extends unknown ? Omit<Union, Key> : never;
