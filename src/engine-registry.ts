import { InvalidOptionsError } from "./errors.ts";
import { parseOptions } from "./options.ts";
import { registry } from "./registry.ts";
import type { EngineAdapter, EngineDefinition } from "./runtime/engine.ts";
import { createReplicas } from "./wire/replicas.ts";

/** Address of an engine. */
export type Address = string | URL;

/** The engines that cachesage has an adapter for. */
export const engines = registry<EngineDefinition>("engine", new URL("./engines/", import.meta.url));

/** The addresses, when a value is one or a list of them; undefined when it is something else. Throws InvalidOptionsError. */
export function addressesOf(value: unknown): readonly string[] | undefined {
  if (Array.isArray(value) && value.length === 0)
    throw new InvalidOptionsError("cachesage", "the list of urls is empty", {
      hint: "Pass at least one, or none at all for the embedded engine.",
    });
  if (Array.isArray(value)) return value.map(String);
  return typeof value === "string" || value instanceof URL ? [String(value)] : undefined;
}

/**
 * Makes the adapter of an engine by name; with several addresses one that stands for all of them. Throws UnknownNameError or
 * InvalidOptionsError.
 */
export async function createEngine(
  name: string,
  addresses: readonly string[],
  given: Readonly<Record<string, unknown>>,
): Promise<EngineAdapter> {
  const unreadable = addresses.find(
    (address) => !URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol),
  );
  if (unreadable !== undefined)
    throw new InvalidOptionsError(
      "cachesage",
      `the engine's url cannot be read, got ${JSON.stringify(unreadable)}`,
      { hint: "Pass an absolute URL such as http://localhost:8000/v1." },
    );
  const definition = await engines.load(name);
  const create = (more: object): EngineAdapter =>
    definition.create(parseOptions(`engine ${name}`, definition.options, { ...given, ...more }));
  const [only] = addresses;
  if (addresses.length > 1)
    return createReplicas(
      addresses.map((url, index) =>
        create({ url, ...eventsOf(name, given["events"], index, addresses.length) }),
      ),
    );
  return create(only === undefined ? {} : { url: only });
}

/** One server's share of the KV event streams: they are listed server by server, as many for each. */
function eventsOf(name: string, events: unknown, index: number, servers: number): object {
  if (!Array.isArray(events) || events.length === 0) return {};
  const each = events.length / servers;
  if (!Number.isInteger(each))
    throw new InvalidOptionsError(
      `engine ${name}`,
      `events of ${servers} servers are needed, got ${events.length} streams`,
      { hint: "List as many streams for each server, in the order of the urls." },
    );
  return { events: events.slice(index * each, (index + 1) * each) };
}
