import type { z } from "zod";
import { type CacheSageOptions, connectOptions } from "./connect-options.ts";
import { type Address, addressesOf, createEngine } from "./engine-registry.ts";
import { parseOptions } from "./options.ts";
import { choosePolicies, type ChosenPolicy } from "./policy-set.ts";
import type { EngineAdapter, EngineInfo } from "./runtime/engine.ts";

/** What a CacheSage is made of once its engine has answered. */
export interface Connection {
  readonly settings: z.output<typeof connectOptions>;
  readonly adapter: EngineAdapter;
  readonly engine: EngineInfo;
  readonly policies: readonly ChosenPolicy[];
}

/**
 * Connects to the engine that the arguments of `CacheSage.connect` name.
 *
 * @throws InvalidOptionsError, UnknownNameError, MissingDependencyError, EngineError.
 */
export async function establish(
  first?: Address | readonly Address[] | CacheSageOptions,
  second?: CacheSageOptions,
): Promise<Connection> {
  const urls = addressesOf(first);
  const settings = parseOptions("cachesage", connectOptions, (urls ? second : (first ?? second)) ?? {});
  const policies = await choosePolicies(settings.policies);
  const key = settings.apiKey === undefined ? {} : { apiKey: settings.apiKey };
  const adapter =
    typeof settings.engine === "string"
      ? await createEngine(settings.engine, urls ?? [], { ...key, ...settings.engineOptions })
      : settings.engine;
  return { settings, adapter, engine: await adapter.connect(), policies };
}
