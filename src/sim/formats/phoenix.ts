import { z } from "zod";
import { isObject } from "../../runtime/prompt-text.ts";
import { endingOf } from "../ending.ts";
import { recordOf, MessageTrace, time } from "../message-blocks.ts";
import { at, nested } from "../nested-fields.ts";
import { openInference } from "../openinference.ts";
import { addSpan } from "../span-words.ts";
import type { TraceFormat } from "../trace-format.ts";

const span = z.object({
  context: z.object({ trace_id: z.string(), span_id: z.string() }),
  parent_id: z.string().nullish(),
  name: z.string(),
  span_kind: z.string(),
  start_time: time,
  end_time: time.nullish(),
  status_code: z.string().nullish(),
  status_message: z.string().nullish(),
  attributes: z.record(z.string(), z.unknown()).default({}),
});

/**
 * Spans of Arize Phoenix (https://arize.com/docs/phoenix), as `GET /v1/projects/{project}/spans` and `getSpans` of
 * `@arizeai/phoenix-client` give them, alone, in pages or below their trace, and as pandas writes the client's data frame
 * (`to_json(orient="records", lines=True)`). What their attributes say is OpenInference.
 */
export default {
  name: "phoenix",
  description: "Arize Phoenix: spans of the API or of the client's data frame",
  matches(first) {
    const [one] = unpacked(first);
    return at(one, "span_kind") !== undefined && at(one, "context", "trace_id") !== undefined;
  },
  async read(source) {
    const trace = new MessageTrace(source);
    for await (const { line, value } of source.records)
      for (const record of unpacked(value)) {
        const told = recordOf(
          source,
          { line, value: record },
          span,
          "Each record is a span as GET /v1/projects/{project}/spans gives it.",
        );
        const { name, context, parent_id: parent, span_kind: kind, start_time: start, ...rest } = told;
        const { end_time: end, status_code: code, status_message: message } = rest;
        const status = code?.toUpperCase() === "ERROR" ? endingOf(message ?? "") : "completed";
        const attributes = { ...rest.attributes, "openinference.span.kind": kind };
        const ids = { id: context.span_id, parent, run: context.trace_id };
        const own = { ...ids, name, start, end: end ?? undefined, status } as const;
        addSpan(source, trace, line, own, openInference({ name, attributes }));
      }
    return trace.workload();
  },
} satisfies TraceFormat;

/** Spans of a record, with fields in fields: it is one itself, a page of them, or a trace with them. */
function unpacked(record: unknown): readonly unknown[] {
  const { data, spans } = isObject(record) ? record : {};
  const listed = [data, spans].find((one) => Array.isArray(one)) as readonly unknown[] | undefined;
  return (listed ?? [record]).map(nested);
}
