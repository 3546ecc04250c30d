/** A value in a GGUF header. Integers are written as unsigned 32 bit unless they say otherwise. */
export type GgufValue =
  | string
  | boolean
  | number
  | { readonly float: number }
  | { readonly strings: readonly string[] }
  | { readonly integers: readonly number[] };

/** One tensor: `dimensions` fastest first, `data` already in the layout of `type`. */
export interface GgufTensor {
  readonly name: string;
  readonly type: "f32" | "q8_0";
  readonly dimensions: readonly number[];
  readonly data: Uint8Array;
}

const alignment = 32;
const valueTypes = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;
const tensorTypes = { f32: 0, q8_0: 8 } as const;

/** Lays out a GGUF version 3 file. */
export function encodeGguf(
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[],
): readonly Uint8Array[] {
  const header: Buffer[] = [Buffer.from("GGUF"), uint32(3), uint64(tensors.length), uint64(metadata.size)];
  for (const [key, value] of metadata) header.push(string(key), ...encodeValue(value));
  let offset = 0;
  for (const tensor of tensors) {
    const dimensions = tensor.dimensions.map((dimension) => uint64(dimension));
    header.push(string(tensor.name), uint32(dimensions.length), ...dimensions);
    header.push(uint32(tensorTypes[tensor.type]), uint64(offset));
    offset += tensor.data.length + padding(tensor.data.length);
  }
  const head = Buffer.concat(header);
  const parts: Uint8Array[] = [head, Buffer.alloc(padding(head.length))];
  for (const { data } of tensors) parts.push(data, Buffer.alloc(padding(data.length)));
  return parts;
}

function padding(length: number): number {
  return (alignment - (length % alignment)) % alignment;
}

function encodeValue(value: GgufValue): readonly Buffer[] {
  if (typeof value === "string") return [uint32(valueTypes.string), string(value)];
  if (typeof value === "boolean") return [uint32(valueTypes.bool), Buffer.from([value ? 1 : 0])];
  if (typeof value === "number") return [uint32(valueTypes.uint32), uint32(value)];
  if ("float" in value) {
    const float = Buffer.alloc(4);
    float.writeFloatLE(value.float);
    return [uint32(valueTypes.float32), float];
  }
  if ("strings" in value)
    return [...array(valueTypes.string, value.strings.length), ...value.strings.map((item) => string(item))];
  return [...array(valueTypes.int32, value.integers.length), ...value.integers.map((item) => uint32(item))];
}

function array(itemType: number, length: number): Buffer[] {
  return [uint32(valueTypes.array), uint32(itemType), uint64(length)];
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function uint64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}

function string(value: string): Buffer {
  const text = Buffer.from(value);
  return Buffer.concat([uint64(text.length), text]);
}
