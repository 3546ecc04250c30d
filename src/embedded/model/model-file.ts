import { createHash, randomUUID } from "node:crypto";
import { access, mkdir, open, rename, rm } from "node:fs/promises";
import path from "node:path";
import { CacheSageError } from "../../errors.ts";
import { corpus } from "./corpus.ts";
import { encodeGguf, type GgufTensor, type GgufValue } from "./gguf.ts";
import { headWidth, type ModelShape, trainedContext, vocabularySize } from "./presets.ts";
import { controlTokens, trainVocabulary, type Vocabulary } from "./vocabulary.ts";
import { ones, randomMatrix } from "./weights.ts";
import { Xorshift } from "./xorshift.ts";

/** Goes up whenever the same shape, seed and corpus would give other bytes. */
const layoutVersion = 1;

/**
 * Path of the random-weight model of this shape and seed in `directory`, written there if it is missing.
 * Its prefill cost and KV behaviour are real, its text is meaningless. The same input gives the same bytes.
 * Throws CacheSageError `EMBEDDED_MODEL` when the folder cannot be written.
 */
export async function ensureModelFile(shape: ModelShape, seed: number, directory: string): Promise<string> {
  const file = path.join(directory, `${shape.name}-q8_0-${fingerprint(shape, seed)}.gguf`);
  if (await exists(file)) return file;
  const temporary = `${file}.${randomUUID()}`;
  try {
    await mkdir(directory, { recursive: true });
    await writeParts(temporary, modelBytes(shape, seed));
    await rename(temporary, file);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {});
    throw new CacheSageError(
      "EMBEDDED_MODEL",
      `[embedded] cannot write the model file, got ${String(cause)}`,
      {
        hint: "Set cacheDirectory to a folder that can be written.",
        cause,
      },
    );
  }
  return file;
}

/** Names everything the bytes depend on, so that a file of an older version is never taken for the current one. */
function fingerprint(shape: ModelShape, seed: number): string {
  const inputs = JSON.stringify([layoutVersion, shape, seed, vocabularySize, corpus()]);
  return createHash("sha256").update(inputs).digest("hex").slice(0, 16);
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

async function writeParts(file: string, parts: readonly Uint8Array[]): Promise<void> {
  const handle = await open(file, "wx");
  try {
    await handle.writev(parts.filter((part) => part.length > 0));
  } finally {
    await handle.close();
  }
}

function modelBytes(shape: ModelShape, seed: number): readonly Uint8Array[] {
  const vocabulary = trainVocabulary();
  return encodeGguf(metadata(shape, vocabulary), tensors(shape, vocabulary, new Xorshift(seed)));
}

function metadata(shape: ModelShape, vocabulary: Vocabulary): ReadonlyMap<string, GgufValue> {
  const { tokens } = vocabulary;
  return new Map<string, GgufValue>([
    ["general.architecture", "llama"],
    ["general.name", `cachesage ${shape.name} (random weights)`],
    ["general.file_type", 7],
    ["llama.context_length", trainedContext],
    ["llama.embedding_length", shape.width],
    ["llama.block_count", shape.layers],
    ["llama.feed_forward_length", shape.feedForward],
    ["llama.attention.head_count", shape.heads],
    ["llama.attention.head_count_kv", shape.keyValueHeads],
    ["llama.attention.key_length", headWidth],
    ["llama.attention.value_length", headWidth],
    ["llama.attention.layer_norm_rms_epsilon", { float: 1e-5 }],
    ["llama.rope.dimension_count", headWidth],
    ["llama.rope.freq_base", { float: 10000 }],
    ["llama.vocab_size", tokens.length],
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", "gpt-2"],
    ["tokenizer.ggml.tokens", { strings: tokens }],
    ["tokenizer.ggml.token_type", { integers: vocabulary.types }],
    ["tokenizer.ggml.merges", { strings: vocabulary.merges }],
    // Without this llama.cpp takes token 11, a comma here, for the end of the text.
    ["tokenizer.ggml.eos_token_id", tokens.indexOf(controlTokens.endOfText)],
    ["tokenizer.ggml.add_bos_token", false],
  ]);
}

function tensors(shape: ModelShape, vocabulary: Vocabulary, random: Xorshift): readonly GgufTensor[] {
  const { width, feedForward } = shape;
  const queryWidth = shape.heads * headWidth;
  const keyWidth = shape.keyValueHeads * headWidth;
  const norm = (name: string): GgufTensor => ({ name, type: "f32", dimensions: [width], data: ones(width) });
  const matrix = (
    name: string,
    columns: number,
    rows: number,
    isZero?: (row: number) => boolean,
  ): GgufTensor => ({
    name,
    type: "q8_0",
    dimensions: [columns, rows],
    data: randomMatrix(random, columns, rows, 1 / columns, isZero),
  });
  const layers = Array.from({ length: shape.layers }, (_, layer) => `blk.${layer}`).flatMap((block) => [
    norm(`${block}.attn_norm.weight`),
    matrix(`${block}.attn_q.weight`, width, queryWidth),
    matrix(`${block}.attn_k.weight`, width, keyWidth),
    matrix(`${block}.attn_v.weight`, width, keyWidth),
    matrix(`${block}.attn_output.weight`, queryWidth, width),
    norm(`${block}.ffn_norm.weight`),
    matrix(`${block}.ffn_gate.weight`, width, feedForward),
    matrix(`${block}.ffn_up.weight`, width, feedForward),
    matrix(`${block}.ffn_down.weight`, feedForward, width),
  ]);
  return [
    matrix("token_embd.weight", width, vocabulary.tokens.length),
    ...layers,
    norm("output_norm.weight"),
    // A logit of 0 is never the largest, so a greedy answer is printable and never ends early.
    matrix("output.weight", width, vocabulary.tokens.length, (token) => !vocabulary.isPrintable(token)),
  ];
}
