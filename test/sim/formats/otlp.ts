type Value = string | number | readonly string[];

/** Attributes of a span, by name. */
export type Attributes = Readonly<Record<string, Value>>;

function anyValue(value: Value) {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "number") return { intValue: String(value) };
  return { arrayValue: { values: value.map((one) => ({ stringValue: one })) } };
}

/** A span as OTLP/JSON has it, of 5.25 ms; `at` in milliseconds. */
export function span(id: string, parent: string, at: number, attributes: Attributes, name = id) {
  return {
    traceId: "t",
    spanId: id,
    parentSpanId: parent,
    name,
    startTimeUnixNano: `${1_700_000_000_000 + at}000000`,
    endTimeUnixNano: `${1_700_000_000_000 + at + 5}250000`,
    attributes: Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) })),
  };
}

/** An export request with these spans. */
export function request(...spans: readonly unknown[]) {
  return { resourceSpans: [{ resource: {}, scopeSpans: [{ scope: {}, spans }] }] };
}
