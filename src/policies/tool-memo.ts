import { LRUCache } from "lru-cache";
import { z } from "zod";
import type { Action, Verdict } from "../runtime/action.ts";
import type { CallResult, ToolCallSubject } from "../runtime/call.ts";
import { definePolicy, type Policy, type PolicyContext, type Scored } from "../runtime/policy.ts";

const repeatable = z.strictObject({
  scope: z
    .enum(["run", "session", "tenant", "global"])
    .default("run")
    .describe(
      "Who may be given the result of a call; a call without a session or tenant shares with its run only.",
    ),
  ttlMs: z.number().positive().default(300_000).describe("Milliseconds for which a result holds."),
  tags: z.array(z.string()).default([]).describe("Names by which other tools make its results void."),
  keepNegative: z
    .boolean()
    .default(false)
    .describe("Keep empty results and answers with an error, too; what a tool throws is never kept."),
});

const parts = z.strictObject({
  tools: z
    .record(z.string(), repeatable)
    .default({})
    .describe(
      "The repeatable tools by name: equal arguments give an equal result, and calls have no side effect.",
    ),
  invalidates: z
    .record(z.string(), z.array(z.string()))
    .default({})
    .describe("By tool: the tags whose results are void once it is called, such as those that it writes to."),
  maxEntries: z
    .number()
    .int()
    .positive()
    .default(1000)
    .describe("Most results kept; the least recently used go first."),
  maxCharacters: z
    .number()
    .int()
    .positive()
    .default(16_000_000)
    .describe("Most characters of arguments and results kept, as JSON."),
  singleFlightMs: z
    .number()
    .nonnegative()
    .default(10_000)
    .describe("Most milliseconds that a call waits for an equal one under way; 0: it does not."),
});

const options = parts.superRefine(({ tools, invalidates }, context) => {
  const known = new Set(Object.values(tools).flatMap(({ tags }) => tags));
  for (const [tool, tags] of Object.entries(invalidates))
    for (const tag of tags)
      if (!known.has(tag))
        context.addIssue({
          code: "custom",
          path: ["invalidates", tool],
          message: `No tool in \`tools\` has the tag ${JSON.stringify(tag)}, so that nothing would become void; tags are: ${[...known].join(", ") || "none"}`,
        });
});

type Options = z.output<typeof options>;
type Rules = z.output<typeof repeatable>;

interface Kept {
  readonly output: unknown;
  readonly at: number;
  readonly tags: readonly string[];
  readonly characters: number;
}

/** A call under way that others of its kind may wait for. */
interface Flight {
  readonly tags: readonly string[];
  /** What it reads was written meanwhile. */
  isVoid: boolean;
}

/**
 * Answers a repeated call of a tool with the result of the first.
 *
 * Only tools that the user lists; equal means equal arguments, whatever the order of their fields, within the tool's scope.
 * Of equal calls at once, one runs and the others wait for it. Kept are data and tool messages; what holds instances of other
 * classes, whose copies would not be what they are, is made anew each time. Results stay in memory and in no snapshot: they are the
 * application's data.
 */
export default definePolicy({
  name: "tool-memo",
  description: "Results of repeatable tools are reused; equal calls at once run one tool",
  subject: "tool-call",
  actions: ["reuse", "hold"],
  options,
  create: (context): Policy<"tool-call"> => new ToolMemo(context),
});

class ToolMemo implements Policy<"tool-call"> {
  readonly #options: Options;
  readonly #tools: ReadonlyMap<string, Rules>;
  readonly #invalidates: ReadonlyMap<string, readonly string[]>;
  readonly #now: () => number;
  readonly #kept: LRUCache<string, Kept>;
  readonly #flying = new Map<string, Flight>();
  /** Keys of the calls that fly, by call: a tool may change its arguments while it runs. */
  readonly #leaders = new Map<string, string>();

  constructor({ options: chosen, clock }: PolicyContext<Options>) {
    this.#options = chosen;
    // Tool names come from a model; on a plain object, some of them would find what is no rule.
    this.#tools = new Map(Object.entries(chosen.tools));
    this.#invalidates = new Map(Object.entries(chosen.invalidates));
    this.#now = () => clock.now();
    this.#kept = new LRUCache({
      max: chosen.maxEntries,
      maxSize: chosen.maxCharacters,
      sizeCalculation: ({ characters }) => characters,
      ttlResolution: 0,
      perf: { now: this.#now },
    });
  }

  act(ranked: readonly Scored<"tool-call">[]): readonly Action[] {
    const actions: Action[] = [];
    const admitted = new Set<string>();
    for (const { item: call } of ranked) {
      const key = this.#keyOf(call);
      if (key === undefined) continue;
      const kept = this.#kept.get(key);
      const { singleFlightMs: forMs } = this.#options;
      if (kept) {
        const reason = `an equal call was answered ${Math.round(this.#now() - kept.at)} ms ago`;
        actions.push({ type: "reuse", call, output: copied(kept.output), reason });
      } else if (forMs > 0 && (this.#flying.has(key) || admitted.has(key))) {
        const left = call.at + forMs - this.#now();
        if (left > 0) actions.push({ type: "hold", call, forMs: left, reason: "an equal call is under way" });
      } else {
        admitted.add(key);
      }
    }
    return actions;
  }

  decided(call: ToolCallSubject, { type }: Verdict): void {
    if (type !== "admit") return;
    this.#invalidate(call.tool);
    const key = this.#keyOf(call);
    if (key === undefined || this.#flying.has(key)) return;
    const tags = this.#tools.get(call.tool)?.tags ?? [];
    this.#flying.set(key, { tags, isVoid: false });
    this.#leaders.set(call.id, key);
  }

  ended(call: ToolCallSubject, { status, output }: CallResult): void {
    this.#invalidate(call.tool);
    const key = this.#leaders.get(call.id);
    const flight = key === undefined ? undefined : this.#flying.get(key);
    if (key === undefined || !flight) return;
    this.#leaders.delete(call.id);
    this.#flying.delete(key);
    const rules = this.#tools.get(call.tool);
    if (!rules || status !== "completed" || flight.isVoid) return;
    if (!rules.keepNegative && isNegative(output)) return;
    try {
      const characters = key.length + (JSON.stringify(output)?.length ?? 0);
      if (!isKeepable(output)) return;
      const kept = { output: copied(output), at: this.#now(), tags: rules.tags, characters };
      this.#kept.set(key, kept, { ttl: rules.ttlMs });
    } catch {
      // Data that can be neither written down nor copied is not kept.
    }
  }

  #invalidate(tool: string): void {
    const tags = this.#invalidates.get(tool);
    if (!tags) return;
    const isHit = (one: { readonly tags: readonly string[] }) => one.tags.some((tag) => tags.includes(tag));
    for (const [key, kept] of this.#kept.entries()) if (isHit(kept)) this.#kept.delete(key);
    for (const flight of this.#flying.values()) if (isHit(flight)) flight.isVoid = true;
  }

  /** Names all calls that share one result; undefined where the tool is not repeatable, or nobody may share it. */
  #keyOf({ tool, args, form, run, session, tenant }: ToolCallSubject): string | undefined {
    const rules = this.#tools.get(tool);
    if (!rules) return undefined;
    const ids = { run: undefined, session, tenant, global: "" };
    const shared = ids[rules.scope];
    // Calls outside of any run may be anybody's.
    if (shared === undefined && run === "") return undefined;
    const place = shared === undefined ? ["run", run] : [rules.scope, shared];
    try {
      return JSON.stringify({ call: [tool, form, ...place], args }, sortedFields);
    } catch {
      // Arguments that no JSON can hold cannot be compared.
      return undefined;
    }
  }
}

/** Throws at what JSON would write as something else, or leave out: such values could not be told apart. */
function sortedFields(this: unknown, key: string, written: unknown): unknown {
  const value: unknown = (this as Record<string, unknown>)[key];
  if (typeof value === "string" || typeof value === "boolean" || value === null) return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (value === undefined && !Array.isArray(this)) return value;
  if (Array.isArray(value)) return value;
  if (value !== written || !isPlain(value)) throw new TypeError("no plain data");
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** What is done to one of the two must not be seen in the other. Of a message, an artifact that is no data is shared. */
function copied(output: unknown): unknown {
  if (!isMessage(output)) return structuredClone(output);
  const { content, artifact } = output;
  const message = Object.assign(Object.create(Object.getPrototypeOf(output) as object) as object, output);
  return Object.assign(
    message,
    isData(content) && { content: structuredClone(content) },
    artifact !== undefined && isData(artifact) && { artifact: structuredClone(artifact) },
  );
}

/** Data, or a tool's message; a Command steers a graph, and a copy of other objects would not be what they are. */
function isKeepable(output: unknown): boolean {
  return isMessage(output) || isData(output);
}

/** Whether a copy is as good, at any depth: no function and no instance of a class is in it, but for dates and bytes. */
function isData(value: unknown): boolean {
  if (typeof value === "function" || typeof value === "symbol") return false;
  if (typeof value !== "object" || value === null) return true;
  if (value instanceof Date || ArrayBuffer.isView(value)) return true;
  if (!Array.isArray(value) && !isPlain(value)) return false;
  return Object.values(value).every(isData);
}

interface Message {
  readonly content: unknown;
  readonly artifact?: unknown;
  readonly status?: unknown;
}

function isMessage(output: unknown): output is Message {
  return typeof output === "object" && output !== null && "tool_call_id" in output && "content" in output;
}

function isNegative(output: unknown): boolean {
  if (isMessage(output)) return output.status === "error" || isNegative(output.content);
  return (
    output === undefined || output === null || output === "" || (Array.isArray(output) && output.length === 0)
  );
}
