import { expect, test } from "vitest";
import { Spending } from "../../src/audit/spending.ts";
import type { LateRequestSubject, RequestSubject } from "../../src/runtime/call.ts";

const place = { agent: "a", run: "1" };
const request: RequestSubject = {
  ...place,
  kind: "request",
  id: "r",
  at: 0,
  anchor: "",
  anchorTokens: 0,
  tokens: 100,
};
const late = (streams?: boolean): LateRequestSubject => ({
  ...place,
  kind: "late-request",
  id: "r",
  at: 0,
  worker: "http://one/v1",
  ...(streams !== undefined && { streams }),
});
const ended = {
  ...place,
  type: "request-end",
  at: 1,
  namespace: "a",
  request: "r",
  status: "completed",
  usage: { promptTokens: 100, outputTokens: 10 },
} as const;
const other = "http://two/v1";

test.each([
  // Of two streams the slower one is stopped before its first token; of two whole answers it may be all but done.
  { streams: true, tokens: 210, cost: 210 + 10 },
  { streams: false, tokens: 220, cost: 220 + 20 },
  { streams: undefined, tokens: 220, cost: 220 + 20 },
])("a call that is made twice counts twice, streamed: $streams", ({ streams, tokens, cost }) => {
  const spending = new Spending({ prompt: 1e6, output: 2e6 });
  spending.decided(request, { type: "route", call: request, baseURL: other });
  spending.decided(late(streams), { type: "route", call: late(), baseURL: other });
  spending.observe(ended);
  expect(spending.of("1")).toEqual({ modelCalls: 2, toolCalls: 0, tokens, cost });
});

test("a late call that is not made again counts once, and so does one after it of the same name", () => {
  const spending = new Spending({ prompt: 0, output: 0 });
  spending.decided(request, { type: "admit", call: request });
  for (const type of ["admit", "deny"] as const) spending.decided(late(), { type, call: late(), reason: "" });
  spending.observe(ended);
  expect(spending.of("1")).toMatchObject({ modelCalls: 1, tokens: 110 });
});

test("what an interrupted run has spent goes on with its session, and is forgotten when a run is over", () => {
  const spending = new Spending({ prompt: 0, output: 0 });
  const start = (run: string) => spending.observe({ type: "run-start", at: 0, run, session: "s" });
  const end = (run: string, status: "interrupted" | "completed") =>
    spending.observe({ type: "run-end", at: 1, run, session: "s", status });
  start("1");
  spending.decided(request, { type: "admit", call: request });
  end("1", "interrupted");
  expect(spending.of("1")).toBeUndefined();
  // Another process goes on with the thread.
  const elsewhere = new Spending({ prompt: 0, output: 0 });
  elsewhere.restore(spending.snapshot());
  expect(JSON.stringify(spending.snapshot())).not.toContain('"s"');
  elsewhere.observe({ type: "run-start", at: 0, run: "9", session: "s" });
  expect(elsewhere.of("9")?.modelCalls).toBe(1);
  start("2");
  expect(spending.of("2")?.modelCalls).toBe(1);
  end("2", "completed");
  start("3");
  expect(spending.of("3")).toBeUndefined();
});
