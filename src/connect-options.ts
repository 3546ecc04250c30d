import { z } from "zod";
import { observersOptions } from "./observers.ts";
import { policiesOption } from "./policy-set.ts";
import type { CacheEvent } from "./runtime/cache-event.ts";
import type { Clock } from "./runtime/clock.ts";
import type { EngineAdapter } from "./runtime/engine.ts";
import type { Event } from "./runtime/event.ts";
import { sharedStateOptions } from "./shared-state.ts";

const isFunction = (value: unknown) => typeof value === "function";
/** What `CacheSage.connect` takes besides an address. */
export const connectOptions = z.strictObject({
  engine: z
    .custom<string | EngineAdapter>(
      (value) => typeof value === "string" || isAdapter(value),
      'expected an engine\'s name, or an EngineAdapter: specificationVersion "v1", supports, connect, apply and close',
    )
    .default("embedded")
    .describe("Serving engine: the name of an adapter, or an adapter of your own."),
  engineOptions: z.record(z.string(), z.unknown()).default({}).describe("Options of that adapter."),
  cacheHints: z
    .boolean()
    .default(false)
    .describe("THE flag. false: observe only, the bytes of every request stay as they are."),
  policies: policiesOption,
  holdBudgetMs: z
    .number()
    .nonnegative()
    .max(600_000)
    .default(10_000)
    .describe("Most milliseconds that policies may hold one call, all together."),
  aheadTokens: z
    .number()
    .int()
    .positive()
    .default(65_536)
    .describe("Most tokens that prefetches and early runs not yet used may cost, of all policies together."),
  apiKey: z.string().optional().describe("Key for the engine, when it wants one."),
  ...sharedStateOptions,
  ...observersOptions,
  onEvent: z.custom<(event: Event) => void>(isFunction, "expected a function").optional(),
  onCacheEvent: z
    .custom<(event: CacheEvent) => void>(isFunction, "expected a function")
    .optional()
    .describe("Told what the engine says of its cache, where it does; nothing is read without it."),
  onFault: z
    .custom<(where: string, error: unknown) => void>(isFunction, "expected a function")
    .optional()
    .describe("Told of every contained fault; by default they are only counted."),
  warn: z
    .custom<(message: string) => void>(isFunction, "expected a function")
    .default(() => (message: string) => process.emitWarning(message, { type: "CacheSageWarning" })),
  clock: z.custom<Clock>((value) => isFunction((value as Clock | null)?.now)).default(() => performance),
});

/** Options of `CacheSage.connect`. */
export type CacheSageOptions = z.input<typeof connectOptions>;

function isAdapter(value: unknown): value is EngineAdapter {
  const adapter = value as Partial<EngineAdapter> | null;
  return (
    typeof adapter === "object" &&
    adapter !== null &&
    adapter.specificationVersion === "v1" &&
    typeof adapter.supports === "object" &&
    adapter.supports !== null &&
    [adapter.connect, adapter.apply, adapter.close].every(isFunction)
  );
}
