import { z } from "zod";
import type { AgentId } from "../../runtime/event.ts";
import { recordOf } from "../message-blocks.ts";
import type { TraceFormat } from "../trace-format.ts";
import type { RecordedRun } from "../workload.ts";

const count = z.number().nonnegative();

/** Times in seconds: `t` from the beginning of the conversation or sub-agent, `api_time` that the server took. */
const request = z.object({
  type: z.enum(["s", "n"]),
  t: count,
  in: count,
  out: count,
  hash_ids: z.array(z.int().nonnegative()),
  api_time: count.optional(),
  stop: z.string().optional(),
});

const tools = { tool_tokens: count, system_tokens: count };

/** A conversation inside of another, at the time when it was opened. */
const subagent = z.object({
  ...tools,
  type: z.literal("subagent"),
  t: count,
  subagent_type: z.string(),
  requests: z.array(request),
});

const trace = z.object({
  ...tools,
  id: z.string(),
  block_size: z.int().positive(),
  hash_id_scope: z.enum(["local", "global"]).optional(),
  requests: z.array(z.discriminatedUnion("type", [request, subagent])),
});

/**
 * Traces of kv-cache-tester (https://github.com/callanjfox/kv-cache-tester): a file is one conversation of a coding agent,
 * as published, or has one on each line. Block ids hold inside of a conversation and its sub-agents (scope `local`),
 * everywhere (`global`), or, in traces without a scope, in one context only.
 */
export default {
  name: "weka",
  description: "kv-cache-tester: conversations of coding agents and sub-agents, with block ids and times",
  matches: (first) =>
    z.object({ block_size: z.number(), requests: z.array(z.unknown()) }).safeParse(first).success,
  async read(source) {
    const ids = new ScopedIds();
    const runs = new Map<string, RecordedRun>();
    let blockTokens: number | undefined;
    for await (const { line, value } of source.records) {
      const data = recordOf(source, { line, value }, trace, "Each record is one trace file as published.");
      blockTokens ??= data.block_size;
      if (data.block_size !== blockTokens)
        throw source.fail(
          line,
          `blocks of ${data.block_size} tokens, but of ${blockTokens} on earlier lines`,
        );
      if (runs.has(data.id))
        throw source.fail(line, `trace ${data.id} is in the file twice`, "Keep one of them.");
      const calls = contextsOf(data).flatMap((context) => callsOf(context, data.block_size, ids));
      if (calls.length === 0)
        throw source.fail(line, `trace ${data.id} holds no request`, "Leave the trace out.");
      runs.set(data.id, { id: data.id, calls: calls.toSorted((a, b) => a.startMs - b.startMs) });
    }
    if (blockTokens === undefined) throw source.fail(0, "holds no trace");
    return { name: source.name, blockTokens, blockCount: ids.count, runs: [...runs.values()] };
  },
} satisfies TraceFormat;

/** A conversation without those inside of it. */
interface Context {
  readonly agent: AgentId;
  readonly openedMs: number;
  readonly anchorTokens: number;
  readonly requests: readonly z.infer<typeof request>[];
  /** In which block ids hold. */
  readonly scope: string;
}

function contextsOf(recorded: z.infer<typeof trace>): readonly Context[] {
  const { id, hash_id_scope: scope } = recorded;
  const main = { ...recorded, t: 0, subagent_type: "main" };
  const requests = recorded.requests.filter((one) => one.type !== "subagent");
  const inner = recorded.requests.filter((one) => one.type === "subagent");
  return [{ ...main, requests }, ...inner].map((one, index) => ({
    agent: one.subagent_type,
    openedMs: one.t * 1000,
    anchorTokens: one.tool_tokens + one.system_tokens,
    requests: one.requests,
    scope: scope === "global" ? "" : scope === "local" ? id : `${id} ${index}`,
  }));
}

/** Ids of blocks that are known by a number inside of a scope. */
class ScopedIds {
  #count = 0;
  readonly #scopes = new Map<string, Map<number, number>>();

  get count(): number {
    return this.#count;
  }

  in(scope: string): (hash: number) => number {
    const known = this.#scopes.get(scope) ?? new Map<number, number>();
    this.#scopes.set(scope, known);
    return (hash) => {
      let id = known.get(hash);
      if (id === undefined) known.set(hash, (id = this.#count++));
      return id;
    };
  }
}

function callsOf(
  { agent, openedMs, anchorTokens, requests, scope }: Context,
  blockTokens: number,
  ids: ScopedIds,
) {
  const blockId = ids.in(scope);
  return requests.map((one) => {
    const blocks = Int32Array.from(one.hash_ids, blockId);
    return {
      agent,
      blocks,
      anchorBlocks: Math.min(blocks.length, Math.floor(anchorTokens / blockTokens)),
      promptTokens: one.in,
      outputTokens: one.out,
      startMs: Math.round(openedMs + one.t * 1000),
      ...(one.api_time !== undefined && { durationMs: Math.round(one.api_time * 1000) }),
      ...(one.stop !== undefined && { callsTools: one.stop === "tool_use" }),
    };
  });
}
