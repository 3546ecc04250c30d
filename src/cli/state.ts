import { createHash, randomUUID } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { InvalidOptionsError } from "../errors.ts";
import { type SavedPolicies, savedPolicies } from "../policy-states.ts";
import { namespaceOptions } from "../runtime/namespace.ts";
import type { Counts, Store } from "../runtime/store.ts";
import { POLICIES } from "../shared-state.ts";
import { defineCommand } from "./command.ts";

const options = namespaceOptions.extend({
  action: z.enum(["show", "export", "merge", "reset"]).describe("What to do with the state."),
  store: z.string().min(1).describe("Folder of a file store, or the redis:// or rediss:// url of a server."),
  from: z
    .array(z.string().min(1))
    .default([])
    .describe("For merge: exported files, folders or urls to add to it."),
  yes: z.boolean().default(false).describe("For reset: really forget."),
  json: z.boolean().default(false).describe("Print one JSON object; export prints one anyway."),
});

const MOST_ROWS = 20;

export default defineCommand({
  name: "state",
  summary: "Show, export, merge or reset learned state in a file or redis store",
  description:
    "Learned state is counts, and what policies remember: no text of a prompt, no run or session. show prints who follows whom; " +
    "export prints the state as JSON, which sage.restore() takes; merge adds the counts of exported files or other stores to it, " +
    "each content once, and the states of policies of which it has none; reset forgets it.",
  example: "cachesage state show ./cachesage-state --tenant acme",
  arguments: ["action", "store", "from"],
  options,
  async run({ action, store: place, from, yes, json, tenant, workload }, io) {
    if (action === "merge" ? from.length === 0 : from.length > 0)
      throw new InvalidOptionsError(
        "state",
        `<from>: ${action} takes ${action === "merge" ? "what to add" : "none"}`,
        {
          hint: "Write: cachesage state merge <store> <from...>",
        },
      );
    if (action === "reset" && !yes)
      throw new InvalidOptionsError(
        "state",
        "--yes: reset forgets all that was learned, and was not confirmed",
        {
          hint: "Add --yes. To keep a copy: cachesage state export <store> > state.json",
        },
      );
    const namespace = { tenant, workload };
    if (action === "show" || action === "export") await checkThere(place);
    const store = await openStore(place, namespace);
    const merged: { from: string; counts: number }[] = [];
    try {
      if (action === "reset") await store.reset();
      for (const one of from) {
        const { counts, policies } = await stateAt(one, namespace);
        await store.add({ writer: `merge ${digest(counts)}`, sequence: 1, counts });
        await addPolicies(store, policies);
        merged.push({ from: withoutPassword(one), counts: counts.size });
        io.stderr(`merged ${counts.size} counts of ${withoutPassword(one)}\n`);
      }
      if (action === "merge" || action === "reset") {
        if (json)
          io.stdout(
            `${JSON.stringify(action === "merge" ? { merged } : { reset: withoutPassword(place) })}\n`,
          );
        else if (action === "reset")
          io.stderr(`forgot what was learned of tenant ${tenant}, workload ${workload}\n`);
        return 0;
      }
      const counts: Counts = (await store.load())?.counts ?? new Map();
      if (action === "export") {
        const { stateOf } = await import("../learn/exchange.ts");
        const policies = await policiesOf(store);
        io.stdout(`${JSON.stringify({ ...stateOf(counts), ...(policies && { policies }) })}\n`);
      } else io.stdout(await shown(counts, json));
      return 0;
    } finally {
      await store.close();
    }
  },
});

/** What is printed ends up in logs. */
function withoutPassword(place: string): string {
  return place.replace(/^(rediss?:\/\/[^:@/]*):[^@]*@/, "$1:***@");
}

/** A folder that is misspelt must not look like one in which nothing was learned. */
async function checkThere(place: string): Promise<void> {
  if (/^rediss?:/.test(place) || (await stat(place).catch(() => undefined))) return;
  throw new InvalidOptionsError("state", `<store>: there is no such folder, got ${JSON.stringify(place)}`, {
    hint: "Give the folder that a FileStore was made with, or a redis:// url.",
  });
}

async function openStore(place: string, namespace: Store["namespace"]): Promise<Store> {
  if (/^rediss?:/.test(place)) {
    const { RedisStore } = await import("../stores/redis.ts");
    return RedisStore.fromUrl(place, namespace);
  }
  const { FileStore } = await import("../stores/file.ts");
  const found = await stat(place).catch(() => undefined);
  if (found && !found.isDirectory())
    throw new InvalidOptionsError("state", `<store>: is no folder, got ${JSON.stringify(place)}`, {
      hint: "Give the folder of a file store, or a redis:// url.",
    });
  return new FileStore(place, namespace);
}

interface StateAt {
  readonly counts: Counts;
  readonly policies: SavedPolicies | undefined;
}

/** State of an exported file, or of the same namespace of another store. */
async function stateAt(place: string, namespace: Store["namespace"]): Promise<StateAt> {
  const found = /^rediss?:/.test(place) ? undefined : await stat(place).catch(() => undefined);
  if (found?.isFile()) {
    const { parseState } = await import("../learn/state.ts");
    const { countsOf } = await import("../learn/exchange.ts");
    const state = parsed(await readFile(place, "utf8"), place);
    const counts = countsOf(parseState(state));
    return { counts, policies: savedPolicies((state as { readonly policies?: unknown }).policies) };
  }
  if (!found && !/^rediss?:/.test(place))
    throw new InvalidOptionsError("state", `<from>: is not there, got ${JSON.stringify(place)}`);
  const store = await openStore(place, namespace);
  try {
    return { counts: (await store.load())?.counts ?? new Map(), policies: await policiesOf(store) };
  } finally {
    await store.close();
  }
}

async function policiesOf(store: Store): Promise<SavedPolicies | undefined> {
  const text = await store.get?.(POLICIES);
  return text === undefined ? undefined : savedPolicies(parsed(text, store.name));
}

/** States do not add up: those that are there stay. */
async function addPolicies(store: Store, more: SavedPolicies | undefined): Promise<void> {
  if (!more) return;
  const states = { ...more.states, ...(await policiesOf(store))?.states };
  await store.put?.(POLICIES, JSON.stringify({ version: more.version, states }));
}

function parsed(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InvalidOptionsError("state", `<from>: is no JSON, got ${JSON.stringify(place)}`, {
      hint: "Give a file that cachesage state export wrote.",
      cause,
    });
  }
}

/** The same counts are the same batch, so that what was merged by mistake twice counts once. */
function digest(counts: Counts): string {
  if (counts.size === 0) return randomUUID();
  return createHash("sha256")
    .update(JSON.stringify([...counts].toSorted()))
    .digest("base64url");
}

async function shown(counts: Counts, json: boolean): Promise<string> {
  const transitions = [...counts]
    .flatMap(([name, count]) => {
      const [kind, from, to] = JSON.parse(name) as readonly string[];
      return kind === "transitions" ? [{ from, to, count }] : [];
    })
    .toSorted((a, b) => b.count - a.count);
  const agents = new Set(transitions.flatMap(({ from, to }) => [from, to]));
  for (const end of ["__start__", "__end__"]) agents.delete(end);
  if (json) return `${JSON.stringify({ counts: counts.size, agents: [...agents], transitions })}\n`;
  const { default: Table } = await import("cli-table3");
  const table = new Table({ head: ["from", "to", "count"], style: { head: [], border: [] } });
  for (const { from, to, count } of transitions.slice(0, MOST_ROWS))
    table.push([from, to, String(Math.round(count))]);
  const left = transitions.length - MOST_ROWS;
  return `${counts.size} counts, ${agents.size} agents\n${table.toString()}\n${left > 0 ? `${left} more: --json\n` : ""}`;
}
