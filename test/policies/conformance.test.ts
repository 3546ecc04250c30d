import { describe, expect, test } from "vitest";
import { z } from "zod";
import { policies } from "../../src/policy-set.ts";
import { definePolicy, type Policy } from "../../src/runtime/policy.ts";
import { policyConformance } from "../../src/testing/policy-conformance.ts";

/** Options with which a policy has something to do; the others do with their defaults. */
const busy: Readonly<Record<string, readonly object[]>> = {
  "tool-memo": [
    { tools: { read: { scope: "session", tags: ["files"] } }, invalidates: { write: ["files"] } },
  ],
  safety: [
    {
      tools: { planner: ["read"], "*": ["write"] },
      transitions: { __start__: ["planner"], planner: ["coder", "tester"] },
      approvals: [
        { tool: "refund", argument: "amount", above: 10 },
        { modelCall: "tokens", above: 2000 },
      ],
      outOfCharacter: "deny",
      falseAlarms: 0.2,
      budget: { toolCalls: 5, tokens: 10_000 },
    },
    { mode: "ask", tools: {}, outOfCharacter: "ask", falseAlarms: 0.2, budget: { modelCalls: 3 } },
    { mode: "log", tools: {} },
  ],
  fairness: [
    { concurrency: 1, shares: { "tenant-0": 2 } },
    { by: "session", concurrency: 2 },
  ],
  admission: [{ initial: 1, min: 1, max: 2, maxWaiting: 2 }],
  speculation: [
    { nodes: ["planner", "coder", "tester"], minProbability: 0, tokensPerSecond: 1e9, wasteShare: 1e9 },
  ],
  hedging: [
    { minCalls: 1, budget: 1 },
    { agents: ["planner"], exceptAgents: ["coder"] },
  ],
  routing: [{ loadWeight: 0 }],
  "batch-shaping": [{ minTokens: 1, maxHoldMs: 10_000 }],
};

for (const name of await policies.names()) {
  const definition = await policies.load(name);
  describe.each([{}, ...(busy[name] ?? [])])(`policy ${name} with %j`, (given) => {
    test.each(policyConformance(definition, given).map(({ name: what, run }) => [what, run] as const))(
      "%s",
      (_what, run) => {
        expect(run).not.toThrow();
      },
    );
  });
}

const broken: Readonly<Record<string, () => Policy<"request">>> = {
  "no order of events": () => ({ score: () => 2 }),
  "same steps": () => {
    let count = 0;
    return {
      act: (ranked) =>
        count++ % 2 === 0 || Math.random() < 0.5
          ? []
          : ranked.map(({ item: call }) => ({ type: "admit", call })),
    };
  },
  "what it remembers": () => {
    let count = 0;
    return { decided: () => void count++, snapshot: () => count };
  },
};

test.each(Object.entries(broken))("a policy that breaks its contract is found out: %s", (what, create) => {
  const definition = definePolicy({
    name: "broken",
    description: "",
    subject: "request",
    actions: ["admit"],
    options: z.strictObject({}),
    create,
  });
  const found = policyConformance(definition).find(({ name }) => name.startsWith(what));
  expect(() => found?.run()).toThrow(/\S/);
});
