import type { Llama, LlamaContext, LlamaContextSequence, LlamaModel, Token } from "node-llama-cpp";
import { CacheSageError, MissingDependencyError } from "../errors.ts";

/** The version that this package is built on, as its peer dependency has it; the next one need not work, nor install beside it. */
const version = "3.22.1";

const instances = new Map<number, Promise<Llama>>();

/**
 * The llama.cpp runtime for this many threads, shared by all engines of the process; it holds no handle open.
 * Throws MissingDependencyError when node-llama-cpp is not installed.
 */
export async function loadLlama(threads: number): Promise<Llama> {
  let instance = instances.get(threads);
  if (instance === undefined) {
    instance = startLlama(threads);
    instances.set(threads, instance);
    instance.catch(() => instances.delete(threads));
  }
  return instance;
}

async function startLlama(threads: number): Promise<Llama> {
  const library = await import("node-llama-cpp").catch((cause: unknown) => {
    throw new MissingDependencyError("embedded", "node-llama-cpp", cause, version);
  });
  return library.getLlama({
    gpu: false,
    build: "never",
    // The library's own default is at least 4 threads, which on fewer cores costs two orders of magnitude.
    maxThreads: threads,
    logLevel: library.LlamaLogLevel.error,
    progressLogs: false,
  });
}

/** Loads a GGUF file. Throws CacheSageError `EMBEDDED_MODEL` when llama.cpp does not take it. */
export async function loadModel(llama: Llama, file: string): Promise<LlamaModel> {
  try {
    return await llama.loadModel({ modelPath: file });
  } catch (cause) {
    throw new CacheSageError("EMBEDDED_MODEL", `[embedded] cannot load the model, got ${file}`, {
      hint: "Name a preset, or the path of a GGUF file that llama.cpp can read.",
      cause,
    });
  }
}

/** Sizes of a context. */
export interface ContextSize {
  readonly sequences: number;
  /** Tokens of one sequence. */
  readonly tokens: number;
  /** Most tokens in one decode. */
  readonly batch: number;
  readonly threads: number;
}

/** Allocates the KV memory. Throws CacheSageError `EMBEDDED_MODEL` when it does not fit. */
export async function createContext(model: LlamaModel, size: ContextSize): Promise<LlamaContext> {
  try {
    return await model.createContext({
      contextSize: size.tokens,
      sequences: size.sequences,
      batchSize: size.batch,
      threads: size.threads,
      // Its kernels round differently by batch size, so a cached prefix would change what is sampled after it.
      flashAttention: false,
      // The default gives the first item of a queue the whole batch.
      batching: { itemPrioritizationStrategy: "firstInFirstOut" },
    });
  } catch (cause) {
    const cells = size.sequences * size.tokens;
    throw new CacheSageError(
      "EMBEDDED_MODEL",
      `[embedded] cannot allocate the KV cache, got ${cells} tokens`,
      {
        hint: "Lower sequences or contextTokens: memory is allocated for their product.",
        cause,
      },
    );
  }
}

/** How the next token is drawn. */
export interface Sampling {
  /** 0: always the most probable token. */
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly seed: number;
}

/** Evaluates tokens at the end of a sequence; with `sampling`, draws the token that follows. */
export async function evaluate(
  sequence: LlamaContextSequence,
  tokens: readonly number[],
  sampling?: Sampling,
): Promise<number | undefined> {
  const last = tokens.length - 1;
  const results = await sequence.controlledEvaluate(
    tokens.map((token, index) =>
      sampling !== undefined && index === last
        ? [token as Token, { generateNext: { token: true, options: sampling } }]
        : (token as Token),
    ),
  );
  return results[last]?.next.token ?? undefined;
}
