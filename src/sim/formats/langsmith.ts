import { z } from "zod";
import { answerOf, isObject, promptText } from "../../runtime/prompt-text.ts";
import { endingOf } from "../ending.ts";
import { recordOf, fromJson, MessageTrace, placeOf, time } from "../message-blocks.ts";
import type { TraceFormat, TraceRecord, TraceSource } from "../trace-format.ts";

const KINDS = ["llm", "chain", "tool", "retriever", "embedding", "prompt", "parser"];
/** The bulk export has these as JSON texts. */
const json = z.unknown().transform(fromJson).optional();
const fields = json.pipe(z.record(z.string(), z.unknown()).nullish());

const run = z.object({
  id: z.string(),
  trace_id: z.string(),
  parent_run_id: z.string().nullish(),
  /** From the root down; all that the newer API gives. */
  parent_run_ids: z.array(z.string()).nullish(),
  name: z.string(),
  run_type: z.string().toLowerCase().pipe(z.enum(KINDS)),
  start_time: time,
  end_time: time.nullish(),
  error: z.string().nullish(),
  inputs: json,
  outputs: json,
  extra: fields,
  metadata: fields,
  prompt_tokens: z.number().nonnegative().nullish(),
  completion_tokens: z.number().nonnegative().nullish(),
});

/**
 * Runs of LangSmith (https://docs.langchain.com/langsmith), as `client.listRuns` and `client.runs.query` of the package
 * `langsmith` give them, as the API does in pages, with runs inside of others in `child_runs` or apart. A trace is a run, an `llm` run a call; the other kinds say where it was made and when its trace began.
 */
export default {
  name: "langsmith",
  description: "LangSmith: runs as client.listRuns and client.runs.query give them",
  matches(first) {
    const [one] = unpacked(first);
    return isObject(one) && "run_type" in one && "trace_id" in one;
  },
  async read(source) {
    const trace = new MessageTrace(source);
    for await (const { line, value } of unpackedAll(source)) {
      const data = recordOf(
        source,
        { line, value },
        run,
        "Each record is a Run as client.listRuns gives it.",
      );
      const { metadata, invocation_params: parameters } = data.extra ?? {};
      const { session, agent, ...place } = placeOf(isObject(metadata) ? metadata : (data.metadata ?? {}));
      const span = {
        id: data.id,
        parent: data.parent_run_id ?? data.parent_run_ids?.at(-1),
        run: data.trace_id,
        name: data.name,
        start: data.start_time,
        end: data.end_time ?? undefined,
        status: data.error ? endingOf(data.error) : undefined,
        agent,
        session,
      };
      if (data.run_type !== "llm") {
        trace.add(line, span);
        continue;
      }
      const prompt = promptText(data.inputs, isObject(parameters) ? parameters["tools"] : undefined);
      // LangSmith writes 0 where no tokens were reported.
      const isCounted = Boolean(data.prompt_tokens);
      trace.add(line, span, {
        ...place,
        prompt: prompt
          ? trace.blocks(prompt)
          : source.fail(
              line,
              `inputs of llm run ${data.id} hold no messages, got ${JSON.stringify(data.inputs)?.slice(0, 120)}`,
              "Export the runs with their inputs and outputs; inputs that were hidden from LangSmith cannot be replayed.",
            ),
        answer: answerOf(data.outputs),
        ...(isCounted && {
          promptTokens: data.prompt_tokens ?? undefined,
          outputTokens: data.completion_tokens ?? undefined,
        }),
      });
    }
    return trace.workload();
  },
} satisfies TraceFormat;

async function* unpackedAll({ records }: TraceSource): AsyncGenerator<TraceRecord> {
  for await (const { line, value } of records) for (const one of unpacked(value)) yield { line, value: one };
}

/** Runs of a record: it is one itself, perhaps with others inside of it, or a page of them. */
function unpacked(record: unknown): readonly unknown[] {
  if (!isObject(record)) return [record];
  const { runs, child_runs: inner } = record;
  if (Array.isArray(runs) && !("run_type" in record)) return runs.flatMap(unpacked);
  return [record, ...(Array.isArray(inner) ? inner.flatMap(unpacked) : [])];
}
