import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { ToolCallSubject, TransitionSubject } from "../../src/runtime/call.ts";
import { Gate } from "../../src/runtime/gate.ts";
import { PolicyFaults } from "../../src/runtime/installed-policy.ts";
import { Ledger } from "../../src/runtime/ledger.ts";
import safety from "../../src/policies/safety.ts";

const folder = fileURLToPath(new URL("../../../shared/traces/", import.meta.url));
const traces = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".jsonl.gz")) : [];
if (traces.length === 0)
  console.warn(
    "out-of-character on traces is skipped: no recorded workloads in shared/traces beside the checkout",
  );

/** The policy at its gate, alone. */
function judge(given: object) {
  const clock = { now: () => 0 };
  const options = safety.options.parse(given);
  const policy = safety.create({ options, clock } as Parameters<typeof safety.create>[0]);
  const faults = new PolicyFaults((_where, error) => {
    throw error;
  });
  const policies = [{ definition: safety, policy }];
  const gate = new Gate({ clock, policies, faults, ledger: new Ledger(), budgetMs: 0 });
  let calls = 0;
  const about = { run: "run", at: 0 };
  const verdict = (call: ToolCallSubject | TransitionSubject) => {
    const ruled = gate.arrive(call).find((one) => one.call === call)?.verdict;
    gate.leave(call, { status: "completed" });
    return ruled;
  };
  return {
    policy,
    step: (from: readonly string[], agent: string) =>
      verdict({ ...about, kind: "transition", id: `${calls++}`, agent, from }),
    tool: (agent: string, tool: string) =>
      verdict({ ...about, kind: "tool-call", id: `${calls++}`, agent, tool, args: {}, form: "value" }),
  };
}

const isOut = (verdict: { readonly reason?: string } | undefined) =>
  verdict?.reason?.startsWith("out of character: ") ?? false;

interface Call {
  readonly session: string;
  readonly agent: string;
  readonly from: readonly string[];
}

/** Each call of a trace as the step from its session's call before. */
function stepsOf(trace: string): readonly Call[] {
  const last = new Map<string, string>();
  const lines = gunzipSync(readFileSync(`${folder}${trace}`))
    .toString()
    .trimEnd()
    .split("\n");
  return lines.flatMap((line) => {
    const { session, agent } = JSON.parse(line) as Partial<Call>;
    if (session === undefined || agent === undefined) return [];
    const before = last.get(session);
    last.set(session, agent);
    return { session, agent, from: before === undefined ? [] : [before] };
  });
}

const percent = (part: number, whole: number) =>
  whole === 0 ? "-" : `${((100 * part) / whole).toFixed(3)} %`;
const keyOf = ({ from }: Pick<Call, "from">) => from.join();

describe.each(traces)("%s", (trace) => {
  test("at the defaults no more than 0.1 % of the calls are out of character, and what is planted is", () => {
    const steps = stepsOf(trace);
    const judged = judge({});
    // Learned is what the policy calls so: something new after this agent would stand out.
    const wouldFind = new Set<string>();
    const checkedAt = new Map<string, number>();
    let [learned, out] = [0, 0];
    for (const call of steps) {
      const count = (checkedAt.get(keyOf(call)) ?? 0) + 1;
      checkedAt.set(keyOf(call), count);
      if (wouldFind.has(keyOf(call))) learned++;
      else if (count >= 999 && isOut(probe(judged, call.from))) wouldFind.add(keyOf(call));
      if (isOut(judged.step(call.from, call.agent))) out++;
    }
    const agents = [...new Set(steps.map(({ agent }) => agent))];
    const seen = new Set(steps.map((call) => `${keyOf(call)} -> ${call.agent}`));
    const contexts = [...wouldFind].map((key) => (key === "" ? [] : [key]));
    const planted = contexts.flatMap((from) =>
      [...agents, "intruder"]
        .filter((agent) => !seen.has(`${from.join()} -> ${agent}`))
        .map((agent) => ({ from, agent })),
    );
    const state: unknown = JSON.parse(JSON.stringify(judged.policy.snapshot?.()));
    const found = planted.filter(({ from, agent }) => {
      const fresh = judge({ outOfCharacter: "deny" });
      fresh.policy.restore?.(state);
      return fresh.step(from, agent)?.type === "deny";
    });
    console.log(
      `${trace}: ${steps.length} calls, ${learned} of them after an agent that is known, out of character ${out}: ` +
        `${percent(out, steps.length)} of all, ${percent(out, learned)} of those; planted ${planted.length}, found ${found.length}`,
    );
    expect(out).toBeLessThanOrEqual(0.001 * learned);
    expect(found).toHaveLength(planted.length);
    expect(planted.length > 0).toBe(learned > 0);
  }, 120_000);
});

/** Whether something new would stand out now; nothing is learned of it. */
function probe({ policy }: ReturnType<typeof judge>, from: readonly string[]) {
  const item: TransitionSubject = {
    kind: "transition",
    id: "probe",
    agent: "probe",
    run: "run",
    at: 0,
    from,
  };
  const [action] = policy.act?.([{ item, score: 1 }], [], { now: 0, underWay: 0, workers: [] }) ?? [];
  return action && "reason" in action ? (action as { readonly reason?: string }) : undefined;
}

/** What two agents get that do twice what they have never done, a step and a tool. */
const play = (given: object) => {
  const judged = judge({ falseAlarms: 0.05, ...given });
  for (let i = 0; i < 30; i++) {
    judged.step(["planner"], "coder");
    judged.tool("coder", "read");
  }
  const step = () => judged.step(["planner"], "admin");
  const tool = () => judged.tool("coder", "refund");
  return [step(), step(), tool(), tool()].map((verdict) =>
    `${verdict?.type} ${verdict?.reason ?? ""}`.trim(),
  );
};

test("is logged by default, and stops or asks as its mode says; what was stopped is not learned", () => {
  const step = "admin has never started after planner in 30 times";
  const tool = "coder has never called refund in 30 tool calls";
  expect(play({})).toEqual([
    `admit out of character: ${step}`,
    "admit",
    `admit out of character: ${tool}`,
    "admit",
  ]);
  expect(play({ outOfCharacter: "off" })).toEqual(["admit", "admit", "admit", "admit"]);
  expect(play({ outOfCharacter: "deny" })).toEqual([
    `deny ${step}`,
    `deny ${step}`,
    `deny ${tool}`,
    `deny ${tool}`,
  ]);
  expect(play({ outOfCharacter: "ask" })).toEqual([
    `ask ${step}`,
    `ask ${step}`,
    `ask ${tool}`,
    `ask ${tool}`,
  ]);
});

test("of several agents that were at work before, it is enough that one is known to lead there", () => {
  const judged = judge({ falseAlarms: 0.05 });
  for (let i = 0; i < 60; i++) {
    judged.step(["a"], "c");
    judged.step(["b"], "d");
  }
  expect(isOut(judged.step(["a", "b"], "d"))).toBe(false);
  expect(isOut(judged.step(["a", "b"], "e"))).toBe(true);
});
