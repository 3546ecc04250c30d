import { access } from "node:fs/promises";
import path from "node:path";
import { InvalidOptionsError } from "../errors.ts";
import { didYouMean } from "../nearest.ts";
import { parseOptions } from "../options.ts";
import { blockTokens } from "./cache/block.ts";
import { HostTier } from "./cache/host-tier.ts";
import { KvCache } from "./cache/kv-cache.ts";
import { selectTemplate } from "./chat/select-template.ts";
import { applyHints } from "./hints/apply-hints.ts";
import type { HintEnvelope, HintReply } from "./hints/envelope.ts";
import { hintsInProcess } from "./hints/in-process.ts";
import { createApp } from "./http/app.ts";
import { HttpError } from "./http/http-error.ts";
import { listen } from "./http/listen.ts";
import { createContext, loadLlama, loadModel } from "./llama.ts";
import { Metrics } from "./metrics.ts";
import { ensureModelFile } from "./model/model-file.ts";
import { isPreset, presets } from "./model/presets.ts";
import { embeddedOptions, type EmbeddedOptions, type EmbeddedOptionsInput } from "./options.ts";
import { Scheduler } from "./scheduler.ts";
import { type EmbeddedStats, readStats } from "./stats.ts";

/** A llama.cpp engine in this process, with its HTTP server. */
export interface EmbeddedEngine {
  /** Where it listens, without a trailing slash. */
  readonly url: string;
  /** `url` with `/v1`, for OpenAI-compatible clients. */
  readonly baseURL: string;
  /** Model id that requests name. */
  readonly model: string;
  /** Tokens per cache block. */
  readonly blockTokens: number;
  stats(): EmbeddedStats;
  /** Carries out an envelope of hints; resolves when its prefetches have ended. Aborting cancels them. */
  applyHints(envelope: HintEnvelope, signal?: AbortSignal): Promise<HintReply>;
  /** Resolves when no request and no prefetch is under way or waiting. */
  settle(): Promise<void>;
  /** Cancels prefetches, waits for requests, then drops all KV, values, pins and counts. */
  reset(): Promise<void>;
  /** Ends requests and server; idempotent. */
  close(): Promise<void>;
}

/**
 * Starts an engine. Presets have random weights: their prefill cost and KV behaviour are real, their text means
 * nothing. Memory is allocated up front for `sequences` times `contextTokens` tokens; `kvTokens` is the budget that
 * the cache keeps to, with shared prefixes counted once.
 * Throws InvalidOptionsError, MissingDependencyError (node-llama-cpp), or CacheSageError `EMBEDDED_MODEL`.
 */
export async function startEmbeddedEngine(input: EmbeddedOptionsInput = {}): Promise<EmbeddedEngine> {
  const options = parseOptions("embedded", embeddedOptions, input);
  const llama = await loadLlama(options.threads);
  const model = await loadModel(llama, await modelFile(options));
  const undo: (() => Promise<void>)[] = [() => model.dispose()];
  try {
    const context = await createContext(model, {
      sequences: options.sequences,
      tokens: options.contextTokens,
      batch: options.chunkTokens + options.maxRunning,
      threads: options.threads,
    });
    undo.unshift(() => context.dispose());
    const capacity = Math.floor(options.kvTokens / blockTokens);
    const hasHost = options.hostBytes > 0 && options.prefixCaching;
    const host = hasHost ? await HostTier.create(options.hostBytes) : undefined;
    if (host !== undefined) undo.unshift(() => host.close());
    const clock = { now: () => performance.now() };
    const cache = new KvCache(context, { capacity, order: options.order, ...clock }, host);
    const maxRunning = Math.min(options.maxRunning, options.sequences);
    const scheduler = new Scheduler(cache, { ...options, maxRunning });
    undo.unshift(() => scheduler.close(new HttpError(503, "engine_closed", "The engine is closing.")));
    const id = isPreset(options.model) ? options.model : path.basename(options.model, ".gguf");
    const stats = (): EmbeddedStats => readStats(cache, scheduler);
    const metrics = new Metrics(id, stats);
    const template = await selectTemplate(model);
    const core = { id, description: describe(options), options, model, template, cache, scheduler, metrics };
    const server = await listen(createApp(core), options.host, options.port);
    // Requests end before their connections do, so that clients hear why.
    undo.splice(1, 0, () => server.close());
    const baseURL = `${server.url}/v1`;
    const take = async (envelope: HintEnvelope, signal?: AbortSignal): Promise<HintReply> => {
      const target = { pool: cache.pool, scheduler, template, contextTokens: options.contextTokens };
      const reply = await applyHints(target, envelope, signal);
      metrics.observeHints(envelope, reply);
      return reply;
    };
    hintsInProcess.set(baseURL, take);
    undo.unshift(async () => void hintsInProcess.delete(baseURL));
    const close = once(async () => {
      for (const step of undo) await step();
    });
    return {
      url: server.url,
      baseURL,
      model: id,
      blockTokens,
      stats,
      applyHints: take,
      settle: () => scheduler.settle(),
      async reset() {
        await scheduler.reset();
        metrics.reset();
      },
      close,
    };
  } catch (error) {
    for (const step of undo) await step();
    throw error;
  }
}

async function modelFile({ model, seed, cacheDirectory }: EmbeddedOptions): Promise<string> {
  if (isPreset(model)) return ensureModelFile(presets[model], seed, cacheDirectory);
  const file = path.resolve(model);
  const isFile = model.endsWith(".gguf");
  if (
    isFile &&
    (await access(file).then(
      () => true,
      () => false,
    ))
  )
    return file;
  if (isFile)
    throw new InvalidOptionsError("embedded", `model: there is no such file, got ${JSON.stringify(file)}`, {
      hint: `Name a .gguf file that is there, or a preset: ${Object.keys(presets).join(", ")}.`,
    });
  throw new InvalidOptionsError(
    "embedded",
    `model must be a preset or a path to a .gguf file, got ${model}`,
    {
      hint: [didYouMean(model, Object.keys(presets)), `Presets: ${Object.keys(presets).join(", ")}.`]
        .filter(Boolean)
        .join(" "),
    },
  );
}

function describe({ model }: EmbeddedOptions): string {
  return isPreset(model)
    ? "Random weights: prefill cost and KV cache behaviour are real, the text means nothing."
    : `llama.cpp on ${path.basename(model)}`;
}

function once(action: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= action());
}
