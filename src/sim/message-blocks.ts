import { z } from "zod";
import type { TraceError } from "../errors.ts";
import { checkpointOf, metadataAgent, namespacePath } from "../runtime/agent-name.ts";
import type { AgentId, RunId, SessionId, Status } from "../runtime/event.ts";
import {
  BLOCK_TOKENS,
  estimatedTokens,
  promptBlocks,
  type Answer,
  type Fields,
  type PromptText,
} from "../runtime/prompt-text.ts";
import type { TraceRecord, TraceSource } from "./trace-format.ts";
import { BlockIds, type RecordedCall, type RecordedRun, type Workload } from "./workload.ts";

/** A prompt as the ids of its blocks; `characters` counts the partial last block too. */
export interface PromptBlocks extends Pick<RecordedCall, "blocks" | "anchorBlocks"> {
  readonly characters: number;
}

/** Where in an application a call was made, as far as LangGraph's metadata tell. */
export interface Place extends Pick<RecordedCall, "step" | "namespace"> {
  readonly agent?: AgentId;
  readonly session?: SessionId;
}

/** One recorded piece of work of any kind. Times are milliseconds since 1970. */
export interface Span {
  readonly id: string;
  readonly parent?: string | null | undefined;
  readonly run: RunId;
  readonly name: string;
  readonly start: number;
  readonly end?: number | undefined;
  /** How it ended; that of the outermost span is the run's, unless one inside of it waits for a human. */
  readonly status?: Status | undefined;
  /** Agent of this span and of those inside of it that name none. */
  readonly agent?: AgentId | undefined;
  /** Agent of those inside of it where no span around them names one; that of the innermost counts. */
  readonly stage?: AgentId | undefined;
  readonly session?: SessionId | undefined;
}

/** What a span has on top that is a model call. Tokens left out are estimated at four characters each. */
export interface ModelCall extends Pick<Place, "step" | "namespace"> {
  /** Or the complaint about it, which is raised unless the call is a mere echo. */
  readonly prompt: PromptBlocks | TraceError;
  readonly answer: Answer;
  readonly promptTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
}

/** Milliseconds since 1970, from themselves or from a date as ISO 8601 or a database has it; UTC unless it names a zone. */
export const time = z.union([z.number(), z.string()]).transform((value, context) => {
  const hasZone = /(z|[+-]\d\d:?\d\d)$/i.test(String(value));
  const at = typeof value === "number" ? value : Date.parse(hasZone ? value : `${value.replace(" ", "T")}Z`);
  if (Number.isNaN(at)) context.addIssue({ code: "custom", message: `not a time: ${JSON.stringify(value)}` });
  return at;
});

/** What a JSON text holds; a text that is not JSON, and anything else, as it is. */
export function fromJson(value: unknown): unknown {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** The first thing that is wrong with a record. */
export function firstIssue({ issues: [issue] }: z.ZodError): string {
  return `${issue?.path.join(".") || "record"}: ${issue?.message}`;
}

/** A record as its format has it. Throws TraceError with the first thing that is wrong, and `hint`. */
export function recordOf<Schema extends z.ZodType>(
  source: Pick<TraceSource, "fail">,
  { line, value }: TraceRecord,
  schema: Schema,
  hint?: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw source.fail(line, firstIssue(parsed.error), hint);
  return parsed.data;
}

/** Agent, session, superstep and namespace from the metadata that LangGraph gives every call. */
export function placeOf(metadata: Fields): Place {
  const { thread_id: thread, langgraph_step: step } = metadata;
  const agent = metadataAgent(metadata);
  const checkpoint = checkpointOf(metadata);
  return {
    ...(agent !== undefined && { agent }),
    ...((typeof thread === "string" || typeof thread === "number") && { session: String(thread) }),
    ...(/^\d+$/.test(String(step)) && { step: Number(step) }),
    ...(typeof checkpoint === "string" && { namespace: namespacePath(checkpoint).join("|") }),
  };
}

/** Collects the spans of a file, in any order, and makes runs of their model calls. */
export class MessageTrace {
  readonly #source: TraceSource;
  readonly #ids = new BlockIds();
  readonly #spans = new Map<string, Span>();
  readonly #calls = new Map<string, ModelCall>();

  constructor(source: TraceSource) {
    this.#source = source;
  }

  /** The prompt's blocks of 64 characters. */
  blocks(prompt: PromptText): PromptBlocks {
    const { blocks, ...rest } = promptBlocks(prompt, (before, own) => this.#ids.id(`${before} ${own}`));
    return { ...rest, blocks: Int32Array.from(blocks) };
  }

  /** @throws TraceError when the file has the span already. */
  add(line: number, span: Span, call?: ModelCall): void {
    const key = keyOf(span.run, span.id);
    if (this.#spans.has(key))
      throw this.#source.fail(line, `${span.id} is in the file twice`, "Keep one record of each id.");
    this.#spans.set(key, span);
    if (call) this.#calls.set(key, call);
  }

  /**
   * All runs with a model call. A call inside of another is the same request as another observer saw it: the outer counts.
   *
   * @throws TraceError when there is no call, or one without a readable prompt.
   */
  workload(): Workload {
    const starts = new Map<RunId, number>();
    const sessions = new Map<RunId, SessionId>();
    const outermost = new Map<RunId, Span>();
    const asking = new Set<RunId>();
    for (const span of this.#spans.values()) {
      const { run, start, end, session, status } = span;
      if (!span.parent && end !== undefined && end >= (outermost.get(run)?.end ?? end))
        outermost.set(run, span);
      if (status === "interrupted") asking.add(run);
      starts.set(run, Math.min(start, starts.get(run) ?? start));
      if (session !== undefined && !sessions.has(run)) sessions.set(run, session);
    }
    const calls = new Map<RunId, (RecordedCall & { readonly startMs: number })[]>();
    for (const [key, call] of this.#calls) {
      const span = this.#spans.get(key) as Span;
      const recorded = this.#recorded(span, call, starts.get(span.run) ?? span.start);
      if (!recorded) continue;
      const own = calls.get(span.run);
      if (own) own.push(recorded);
      else calls.set(span.run, [recorded]);
    }
    const ids = [...calls.keys()].toSorted((a, b) => (starts.get(a) ?? 0) - (starts.get(b) ?? 0));
    const [first] = ids;
    if (first === undefined)
      throw this.#source.fail(
        0,
        `no model call in ${this.#spans.size} records`,
        "Export the model calls as well.",
      );
    const runs = ids.map((id): RecordedRun => {
      const session = sessions.get(id);
      const startMs = microseconds((starts.get(id) ?? 0) - (starts.get(first) ?? 0));
      const { end, status: own } = outermost.get(id) ?? {};
      const status = asking.has(id) && own !== "failed" ? "interrupted" : own;
      return {
        id,
        ...(session !== undefined && { session }),
        startMs,
        ...(end !== undefined && { durationMs: microseconds(end - (starts.get(id) ?? 0)) }),
        ...(status !== undefined && { status }),
        calls: (calls.get(id) ?? []).toSorted((a, b) => a.startMs - b.startMs),
      };
    });
    return { name: this.#source.name, blockTokens: BLOCK_TOKENS, blockCount: this.#ids.count, runs };
  }

  #recorded(span: Span, call: ModelCall, runStart: number) {
    const outer = this.#outer(span);
    if (outer.some(({ run, id }) => this.#calls.has(keyOf(run, id)))) return undefined;
    const { prompt, answer, step, namespace } = call;
    if (prompt instanceof Error) throw prompt;
    const { end } = span;
    const named = [span, ...outer].find(({ agent }) => agent !== undefined);
    const staged = outer.find(({ stage }) => stage !== undefined);
    return {
      agent: named?.agent ?? staged?.stage ?? outer.at(-1)?.name ?? span.name,
      blocks: prompt.blocks,
      anchorBlocks: prompt.anchorBlocks,
      promptTokens: call.promptTokens ?? estimatedTokens(prompt.characters),
      outputTokens: call.outputTokens ?? estimatedTokens(answer.characters),
      startMs: microseconds(span.start - runStart),
      ...(end !== undefined && { durationMs: microseconds(end - span.start) }),
      callsTools: answer.callsTools,
      ...(step !== undefined && { step }),
      ...(namespace !== undefined && { namespace }),
    };
  }

  /** What a span is inside of, innermost first. */
  #outer(span: Span): readonly Span[] {
    const outer = new Set<Span>();
    let next: Span | undefined = span;
    while (next) {
      next = next.parent ? this.#spans.get(keyOf(next.run, next.parent)) : undefined;
      // A broken export may have spans in a ring.
      if (next === span || (next && outer.has(next))) break;
      if (next) outer.add(next);
    }
    return [...outer];
  }
}

function keyOf(run: RunId, id: string): string {
  return `${run} ${id}`;
}

/** Milliseconds to a thousandth: below that, differences of dates are noise. */
function microseconds(difference: number): number {
  return Math.round(difference * 1000) / 1000;
}
