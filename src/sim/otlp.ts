import { z } from "zod";
import type { Status } from "../runtime/event.ts";
import { isObject, type Fields } from "../runtime/prompt-text.ts";
import { endingOf } from "./ending.ts";

/** Code of the status of a span that failed, which some exporters write by its name. */
const ERROR: readonly unknown[] = [2, "2", "STATUS_CODE_ERROR"];

const nanoseconds = z
  .union([z.string().regex(/^\d+$/), z.number()])
  .transform((value) => Number(value) / 1e6);

const attributes = z
  .array(z.object({ key: z.string(), value: z.unknown() }))
  .default([])
  .transform((all): Fields => Object.fromEntries(all.map(({ key, value }) => [key, plain(value)])));

/** What was told of a span apart from its own attributes. */
export interface OtlpEvent {
  readonly name: string;
  readonly fields: Fields;
}

const span = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().nullish(),
  name: z.string(),
  startTimeUnixNano: nanoseconds,
  endTimeUnixNano: nanoseconds.nullish(),
  attributes,
  droppedAttributesCount: z.coerce.number().default(0),
  /** How it ended. */
  status: z
    .object({ code: z.union([z.number(), z.string()]).default(0), message: z.string().nullish() })
    .nullish()
    .transform((ended): Status =>
      ended && ERROR.includes(ended.code) ? endingOf(ended.message ?? "") : "completed",
    ),
  events: z
    .array(
      z
        .object({ name: z.string().default(""), attributes })
        .transform((event): OtlpEvent => ({ name: event.name, fields: event.attributes })),
    )
    .default([]),
});

/** Times in milliseconds since 1970. */
export type OtlpSpan = z.output<typeof span>;

/** The conventions have named an event in an attribute before they did in a field of its own. */
const log = z
  .object({
    traceId: z.string().default(""),
    spanId: z.string().default(""),
    eventName: z.string().default(""),
    attributes,
    body: z.unknown().optional().transform(plain),
  })
  .transform(({ traceId, spanId, eventName, attributes: own, body }) => ({
    traceId,
    spanId,
    event: {
      name: eventName || String(own["event.name"] ?? ""),
      fields: { ...own, ...(isObject(body) && body) },
    } satisfies OtlpEvent,
  }));

/** An export request in OTLP/JSON, of any signal (https://opentelemetry.io/docs/specs/otlp/). */
export const exportRequest = z
  .object({
    resourceSpans: z
      .array(z.object({ scopeSpans: z.array(z.object({ spans: z.array(span).default([]) })).default([]) }))
      .default([]),
    resourceLogs: z
      .array(z.object({ scopeLogs: z.array(z.object({ logRecords: z.array(log).default([]) })).default([]) }))
      .default([]),
  })
  .transform(({ resourceSpans, resourceLogs }) => ({
    spans: resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)),
    logs: resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap((scope) => scope.logRecords)),
  }));

/** The value of an OTLP AnyValue. */
function plain(value: unknown): unknown {
  if (!isObject(value)) return undefined;
  const { arrayValue, kvlistValue } = value;
  if (isObject(arrayValue)) return [arrayValue["values"] ?? []].flat().map(plain);
  if (isObject(kvlistValue)) {
    const pairs = [kvlistValue["values"] ?? []].flat().filter(isObject);
    return Object.fromEntries(pairs.map((pair) => [String(pair["key"]), plain(pair["value"])]));
  }
  return Object.values(value)[0];
}
