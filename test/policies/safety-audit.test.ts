import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkChain } from "../../src/audit/chain.ts";
import { signal } from "../langgraph/signal.ts";
import { scriptedSage, type ScriptedSage } from "./scripted-sage.ts";

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "cachesage-audit-"))));
afterAll(() => rm(folder, { recursive: true }));

const input = { messages: [{ role: "user" as const, content: "Hello" }] };
const graphOf = ({ sage }: ScriptedSage, work: () => Promise<unknown>) =>
  sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("worker", async () => {
        await work();
        return {};
      })
      .addEdge(START, "worker")
      .compile(),
  );
const linesOf = async (file: string) => (await readFile(file, "utf8")).trimEnd().split("\n");

test("in log mode the audit log says what was wrong, whichever policy lets the call go on", async () => {
  for (const [index, more] of [{}, { admission: true }, { fairness: true }].entries()) {
    const auditLog = join(folder, `log-mode-${index}.jsonl`);
    await using scripted = await scriptedSage({
      ...more,
      safety: { mode: "log", budget: { modelCalls: 1 }, auditLog },
    });
    const model = scripted.model();
    await graphOf(scripted, async () => {
      await model.invoke("one");
      await model.invoke("two");
    }).invoke(input);
    const reason = "allowed in log mode: the run's budget of 1 (modelCalls) is spent";
    expect(
      [...scripted.sage.ledger].filter(({ action }) => "reason" in action && action.reason === reason),
    ).toMatchObject([{ policy: "safety", outcome: { status: "applied" } }]);
    await scripted.sage.close();
    const reasons = (await linesOf(auditLog)).map((line) => (JSON.parse(line) as { reason?: string }).reason);
    expect(reasons.filter((one) => one !== undefined)).toEqual([reason]);
  }
});

test("closing ends what is held, in the ledger as well, and nothing follows the end of the audit log", async () => {
  const auditLog = join(folder, "closed.jsonl");
  const closed = signal<void>();
  await using scripted = await scriptedSage({ fairness: { concurrency: 1 }, safety: { auditLog } }, () => ({
    text: "ok",
    after: closed.promise,
  }));
  const model = scripted.model();
  let results: readonly PromiseSettledResult<unknown>[] = [];
  const run = graphOf(scripted, async () => {
    results = await Promise.allSettled(["1", "2", "3"].map((text) => model.invoke(text)));
  }).invoke(input);
  const holds = () => [...scripted.sage.ledger].filter(({ action }) => action.type === "hold");
  await expect.poll(() => [scripted.server.requests.length, holds().length], { interval: 1 }).toEqual([1, 2]);
  await scripted.sage.close();
  closed.resolve();
  expect(holds().map(({ outcome }) => outcome?.status)).toEqual(["cancelled", "cancelled"]);
  await run;
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
  expect(await checkChain(await linesOf(auditLog))).toMatchObject({ isClosed: true, entries: 3 });
});

test("a tenant may be a number, and a run without one is told so", async () => {
  await using scripted = await scriptedSage({
    safety: { data: [{ tool: "read", argument: "customer", is: "tenant" }] },
  });
  const read = scripted.sage.tool(async function read({ customer }: { customer: unknown }) {
    return customer;
  });
  const outcome = (customer: unknown, configurable: object) =>
    graphOf(scripted, () => read({ customer }))
      .invoke(input, { configurable })
      .then(
        () => "read",
        (error: unknown) => String(error),
      );
  expect(await outcome(42, { tenant: 42 })).toBe("read");
  expect(await outcome("42", { tenant: 42 })).toBe("read");
  expect(await outcome(43, { tenant: 42 })).toContain("outside of what worker may touch");
  expect(await outcome(42, {})).toContain("must be the run's own tenant, and the run has none");
});

test("a log whose last line was cut short is refused, in words that say so", async () => {
  const auditLog = join(folder, "cut.jsonl");
  const first = await scriptedSage({ safety: { auditLog } });
  await first.sage.close();
  await first[Symbol.asyncDispose]();
  await appendFile(auditLog, '{"number":2,"prev');
  await expect(scriptedSage({ safety: { auditLog } })).rejects.toThrow("its last line was cut short");
});
