import { z } from "zod";
import { answerOf, isObject, promptText, type Fields } from "../../runtime/prompt-text.ts";
import { endingOf } from "../ending.ts";
import { recordOf, fromJson, MessageTrace, placeOf, time } from "../message-blocks.ts";
import type { TraceFormat } from "../trace-format.ts";

/** Kinds of observation; all but a generation are no call of a chat model. */
const KINDS = [
  "GENERATION",
  "SPAN",
  "EVENT",
  "AGENT",
  "TOOL",
  "CHAIN",
  "RETRIEVER",
  "EVALUATOR",
  "EMBEDDING",
  "GUARDRAIL",
];
const tokens = z.coerce.number().nonnegative();

/** Names as the API has them. The blob storage export writes the same in snake case, and values as JSON texts. */
const observation = z.object({
  id: z.string(),
  traceId: z.string(),
  parentObservationId: z.string().nullish(),
  type: z.string().toUpperCase().pipe(z.enum(KINDS)),
  name: z.string().nullish(),
  startTime: time,
  endTime: time.nullish(),
  sessionId: z.string().nullish(),
  input: z.unknown().transform(fromJson).optional(),
  output: z.unknown().transform(fromJson).optional(),
  level: z.string().nullish(),
  statusMessage: z.string().nullish(),
  metadata: z.unknown().transform(fromJson).optional(),
  usageDetails: z.record(z.string(), tokens).nullish(),
  usage: z
    .object({
      input: tokens.nullish(),
      output: tokens.nullish(),
      promptTokens: tokens.nullish(),
      completionTokens: tokens.nullish(),
    })
    .nullish(),
  /** Of versions before 3, where `usage` may say the same. */
  promptTokens: tokens.nullish(),
  completionTokens: tokens.nullish(),
  toolCalls: z.array(z.unknown()).nullish(),
});

/**
 * Observations of Langfuse (https://langfuse.com/docs): from the public API, alone, in pages or below their trace; from
 * the export of the user interface; and from blob storage, fields of which are in
 * https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields.
 */
export default {
  name: "langfuse",
  description: "Langfuse: observations of the API, the UI export or the blob storage export",
  matches(first) {
    const [one] = unpacked(first);
    return isObject(one) && "traceId" in one && "startTime" in one && "type" in one;
  },
  async read(source) {
    const trace = new MessageTrace(source);
    for await (const { line, value } of source.records)
      for (const record of unpacked(value)) {
        const data = recordOf(
          source,
          { line, value: record },
          observation,
          "Each record is an observation; export these, not traces or scores.",
        );
        const { session, agent, ...place } = placeOf(isObject(data.metadata) ? data.metadata : {});
        const span = {
          id: data.id,
          parent: data.parentObservationId,
          run: data.traceId,
          name: data.name ?? "",
          start: data.startTime,
          end: data.endTime ?? undefined,
          status: data.level?.toUpperCase() === "ERROR" ? endingOf(data.statusMessage ?? "") : undefined,
          agent: agent ?? (data.type === "AGENT" && data.name ? data.name : undefined),
          session: data.sessionId || session,
        };
        if (data.type !== "GENERATION") {
          trace.add(line, span);
          continue;
        }
        const prompt = promptText(data.input);
        const answer = answerOf(data.output);
        trace.add(line, span, {
          ...place,
          prompt: prompt
            ? trace.blocks(prompt)
            : source.fail(
                line,
                `input of generation ${data.id} holds no messages, got ${JSON.stringify(data.input)?.slice(0, 120)}`,
                "Export observations with input and output; a masked input cannot be replayed.",
              ),
          answer: { ...answer, callsTools: answer.callsTools || (data.toolCalls ?? []).length > 0 },
          promptTokens: used(data, "input"),
          outputTokens: used(data, "output"),
        });
      }
    return trace.workload();
  },
} satisfies TraceFormat;

/** Observations of a record, with names in camel case: it is one itself, a page of them, or a trace with them. */
function unpacked(record: unknown): readonly unknown[] {
  if (!isObject(record)) return [record];
  const { data, observations, trace } = record;
  if (Array.isArray(data)) return data.map(camelCased);
  if (!Array.isArray(observations)) return [camelCased(record)];
  const { sessionId } = isObject(trace) ? trace : record;
  return observations.map((one: unknown) => (isObject(one) ? { sessionId, ...one } : one)).map(camelCased);
}

function camelCased(record: unknown): unknown {
  if (!isObject(record)) return record;
  const named = Object.entries(record).map(([name, value]) => [
    name.replace(/_[a-z]/g, (found) => found.slice(1).toUpperCase()),
    value,
  ]);
  return Object.fromEntries(named) as Fields;
}

/** Langfuse counts cached, audio and reasoning tokens under names of their own, and not under `input` and `output`. */
function used(data: z.infer<typeof observation>, side: "input" | "output"): number | undefined {
  const { usageDetails, usage } = data;
  const parts = Object.entries(usageDetails ?? {}).filter(
    ([name]) => name === side || name.startsWith(`${side}_`),
  );
  if (parts.length > 0) return parts.reduce((sum, [, count]) => sum + count, 0);
  const older = side === "input" ? "promptTokens" : "completionTokens";
  return usage?.[side] || usage?.[older] || data[older] || undefined;
}
