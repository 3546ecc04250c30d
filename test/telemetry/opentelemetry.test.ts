import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTelemetry } from "../../src/telemetry/opentelemetry.ts";
import { playWith } from "./scripted-sage.ts";

const exporter = new InMemorySpanExporter();
const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
let spans: readonly ReadableSpan[];

beforeAll(async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const telemetry = await openTelemetry({ tracerProvider });
  const own = tracerProvider.getTracer("app").startSpan("request of the app");
  await context.with(trace.setSpan(context.active(), own), () => playWith([telemetry], 6));
  own.end();
  spans = exporter.getFinishedSpans();
});
afterAll(() => context.disable());

const named = (pattern: RegExp) => spans.filter(({ name }) => pattern.test(name));
const parentOf = (span: ReadableSpan | undefined) =>
  spans.find((other) => other.spanContext().spanId === span?.parentSpanContext?.spanId);
const linked = (span: ReadableSpan, relation: string) =>
  span.links
    .filter(({ attributes }) => attributes?.["cachesage.relation"] === relation)
    .map((link) => spans.find((other) => other.spanContext().spanId === link.context.spanId));

describe("spans of a real app, by a real SDK", () => {
  test("runs hold agents, agents hold model calls, and all are below the app's own span", () => {
    const [chat] = named(/^chat$/);
    const agent = parentOf(chat);
    const run = parentOf(agent);
    expect(agent?.name).toBe("invoke_agent planner");
    expect(run?.name).toMatch(/^invoke_workflow/);
    expect(parentOf(run)?.name).toBe("request of the app");
    expect(named(/^chat$/)).toHaveLength(12);
    expect(named(/^invoke_agent/)).toHaveLength(12);
    expect(named(/^invoke_workflow/)).toHaveLength(6);
  });

  test("follow the GenAI conventions, and hold no text", () => {
    const [chat] = named(/^chat$/);
    expect(chat?.attributes).toMatchObject({
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "scripted",
      "gen_ai.agent.name": "planner",
      "gen_ai.usage.cache_read.input_tokens": 6,
    });
    expect(chat?.attributes["gen_ai.usage.input_tokens"]).toBeGreaterThan(0);
    expect(JSON.stringify(spans.map(({ attributes, events }) => [attributes, events]))).not.toMatch(
      /haiku|be brief/,
    );
  });

  test("times are those of the day", () => {
    for (const { startTime, endTime } of spans) {
      const [start, end] = [startTime, endTime].map(([seconds, nanos]) => seconds * 1000 + nanos / 1e6);
      expect(end).toBeGreaterThanOrEqual(start as number);
      expect(Math.abs((end as number) - Date.now())).toBeLessThan(60_000);
    }
  });

  test("a prefetch links to the call that led to it, and the call that it was for links to the prefetch", () => {
    const prefetches = named(/^prefetch writer$/);
    expect(prefetches.length).toBeGreaterThan(0);
    const applied = prefetches.filter(({ attributes }) => attributes["cachesage.outcome"] === "applied");
    expect(applied.length).toBeGreaterThan(0);
    for (const prefetch of applied) {
      const [cause] = linked(prefetch, "decided_in");
      expect(cause?.attributes["gen_ai.agent.name"]).toBe("planner");
      expect(prefetch.attributes).toMatchObject({
        "cachesage.policy": "prefix-cache",
        "gen_ai.usage.input_tokens": 10,
      });
    }
    const served = named(/^chat$/).flatMap((chat) => linked(chat, "prefetched_by"));
    expect(served.length).toBeGreaterThan(0);
    expect(served.every((span) => span?.name === "prefetch writer")).toBe(true);
  });

  test("what a prefix is worth is on the span that it was decided in", () => {
    const events = spans.flatMap((span) => span.events);
    const retains = events.filter(({ name }) => name === "cachesage.retain");
    expect(retains.length).toBeGreaterThan(0);
    for (const { attributes } of retains) {
      expect(attributes?.["cachesage.policy"]).toBe("prefix-cache");
      expect(attributes?.["cachesage.value"]).toBeGreaterThanOrEqual(0);
    }
  });
});

test("of model calls whose end is never seen the oldest end when there are very many", async () => {
  const ended = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(ended)] });
  const telemetry = await openTelemetry({ tracerProvider: provider });
  const clock = { now: () => 0 };
  const stats = { openRuns: 1, nextAgent: { asked: 0, right: 0 } };
  const observer = telemetry.attach({ engine: "x", clock, cacheHints: false, stats: () => stats });
  const prompt = { anchor: { hash: "", length: 0 }, history: [] };
  const begin = (agent: string) =>
    observer.event?.({
      type: "request-start",
      at: 0,
      run: "1",
      agent,
      namespace: "",
      request: agent,
      prompt,
    });
  for (let i = 0; i < 10_000; i++) begin(`worker ${i}`);
  expect(ended.getFinishedSpans()).toEqual([]);
  begin("another");
  const agents = ended.getFinishedSpans().map(({ attributes }) => attributes["gen_ai.agent.name"]);
  expect(agents).toEqual(["worker 0"]);
});
