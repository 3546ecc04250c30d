import { z } from "zod";
import { recordOf } from "../message-blocks.ts";
import type { TraceFormat } from "../trace-format.ts";
import { BlockIds, type RecordedCall, type RecordedRun } from "../workload.ts";

const runs = z.array(z.tuple([z.int().nonnegative(), z.int().nonnegative()]));
const count = z.number().nonnegative();

const call = z.object({
  session: z.string(),
  agent: z.string(),
  prompt_tokens: count,
  output_tokens: count,
  sys_tokens: count.optional(),
  start_ms: count.optional(),
  dur_ms: count.optional(),
  stop: z.string().optional(),
  after_tool: z.literal(1).optional(),
  step: z.int().optional(),
  prompt: z.string().optional(),
  ref: z.int().min(-1),
  keep: z.int().nonnegative(),
  new: runs,
  /** Set by `cachesage record`. */
  run_start_ms: count.optional(),
  thread: z.string().optional(),
  superstep: z.int().optional(),
  namespace: z.string().optional(),
  calls_tools: z.boolean().optional(),
  block_tokens: z.int().positive().optional(),
});

/** Written by `cachesage record` when a run with calls has ended. */
const runEnd = z.object({
  session: z.string(),
  end_ms: count,
  status: z.enum(["completed", "failed", "interrupted", "cancelled"]),
});

/** Tokens of a block: 64 characters, or 64 real tokens whose ids hold inside a session only. */
const ESTIMATED_BLOCK = 16;
const LOCAL_BLOCK = 64;

const GOES_ON = "A thread that goes on is another session, with the same `thread`.";

type RunFacts = Pick<RecordedRun, "session" | "startMs" | "durationMs" | "status">;

/**
 * cachesage's own format: one call per line, its prompt as a delta of block ids against an earlier call of the session.
 * A session is a run; `prompt: "hash_ids64"` says that ids hold inside the session only. A recording has a line for the end
 * of a run as well, and calls in the order of their end.
 */
export default {
  name: "cachesage",
  description: "one model call per line, prompts as deltas of block ids; what `cachesage record` writes",
  matches: (first) => typeof first === "object" && first !== null && "ref" in first && "new" in first,
  async read(source) {
    const ids = new BlockIds();
    const recorded = new Map<string, RecordedCall[]>();
    const facts = new Map<string, RunFacts>();
    /** When runs have ended, and on which line. */
    const ends = new Map<string, { readonly line: number; readonly at: number }>();
    let blockTokens: number | undefined;
    let marksTools = false;
    for await (const { line, value } of source.records) {
      if (isRunEnd(value)) {
        const { session, end_ms: durationMs, status } = recordOf(source, { line, value }, runEnd);
        const known = facts.get(session);
        if (!known) throw source.fail(line, `end of session ${session}, of which no call came before`);
        const ended = ends.get(session);
        if (ended) throw source.fail(line, `session ${session} has ended on line ${ended.line}`, GOES_ON);
        ends.set(session, { line, at: durationMs });
        facts.set(session, { ...known, durationMs, status });
        continue;
      }
      const data = recordOf(source, { line, value }, call);
      const isLocal = data.prompt === "hash_ids64";
      const size = data.block_tokens ?? (isLocal ? LOCAL_BLOCK : ESTIMATED_BLOCK);
      blockTokens ??= size;
      if (size !== blockTokens)
        throw source.fail(line, `blocks of ${size} tokens, but of ${blockTokens} on earlier lines`);
      const ended = ends.get(data.session);
      // A call that was under way when its run ended is written when it ends itself.
      if (ended && (data.start_ms ?? Number.POSITIVE_INFINITY) > ended.at)
        throw source.fail(
          line,
          `call of session ${data.session}, which has ended on line ${ended.line}`,
          GOES_ON,
        );
      let calls = recorded.get(data.session);
      if (!calls) {
        recorded.set(data.session, (calls = []));
        facts.set(data.session, {
          ...(data.run_start_ms !== undefined && { startMs: data.run_start_ms }),
          ...(data.thread !== undefined && { session: data.thread }),
        });
      }
      const earlier = data.ref < 0 ? [] : calls[data.ref]?.blocks;
      if (!earlier)
        throw source.fail(line, `ref ${data.ref}, but the session has ${calls.length} earlier calls`);
      if (data.keep > earlier.length)
        throw source.fail(line, `keep ${data.keep}, but call ${data.ref} has ${earlier.length} blocks`);
      const fresh = data.new.flatMap(([first, length]) =>
        Array.from({ length }, (_, i) => ids.id(isLocal ? `${data.session} ${first + i}` : first + i)),
      );
      const blocks = new Int32Array(data.keep + fresh.length);
      blocks.set(earlier.slice(0, data.keep));
      blocks.set(fresh, data.keep);
      const callsTools = data.calls_tools ?? (data.stop === undefined ? undefined : data.stop === "tool_use");
      const previous = calls.at(-1);
      // What follows a tool's result was asked for by the call before it.
      if (data.after_tool && previous) {
        calls[calls.length - 1] = { ...previous, callsTools: true };
        marksTools = true;
      }
      calls.push({
        agent: data.agent,
        blocks,
        anchorBlocks: Math.min(blocks.length, Math.floor((data.sys_tokens ?? 0) / size)),
        promptTokens: data.prompt_tokens,
        outputTokens: data.output_tokens,
        ...(data.start_ms !== undefined && { startMs: data.start_ms }),
        ...(data.dur_ms !== undefined && { durationMs: data.dur_ms }),
        ...(callsTools !== undefined && { callsTools }),
        ...(data.superstep !== undefined && { step: data.superstep }),
        ...(data.namespace !== undefined && { namespace: data.namespace }),
      });
    }
    // Where some calls are marked, the others are known to have asked for none.
    if (marksTools)
      for (const calls of recorded.values())
        for (const [index, made] of calls.entries()) calls[index] = { callsTools: false, ...made };
    return {
      name: source.name,
      blockTokens: blockTokens ?? ESTIMATED_BLOCK,
      blockCount: ids.count,
      runs: [...recorded].map(([id, calls]): RecordedRun => ({
        id,
        ...facts.get(id),
        calls: inOrder(calls),
      })),
    };
  },
} satisfies TraceFormat;

function isRunEnd(record: unknown): boolean {
  return typeof record === "object" && record !== null && "end_ms" in record && !("ref" in record);
}

/** By their start, where that is known of all; else as they are in the file. */
function inOrder(calls: readonly RecordedCall[]): readonly RecordedCall[] {
  if (calls.some(({ startMs }) => startMs === undefined)) return calls;
  return calls.toSorted((a, b) => (a.startMs ?? 0) - (b.startMs ?? 0));
}
