import { describe, expect, test } from "vitest";
import { z } from "zod";
import { parseOptions } from "../../src/options.ts";
import { policies } from "../../src/policy-set.ts";
import { definePolicy, type Policy, type PolicyDefinition, type Subject } from "../../src/runtime/policy.ts";
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

const sound = definePolicy({
  name: "sound",
  description: "",
  subject: "request",
  actions: ["admit", "hold", "deny"],
  options: z.strictObject({}),
  create: (): Policy<"request"> => ({}),
});

test.each(policyConformance(sound).map(({ name, run }) => [name, run] as const))(
  "a policy that does nothing passes: %s",
  (_name, run) => {
    expect(run).not.toThrow();
  },
);

type Broken = readonly [name: string, found: RegExp, change: () => Partial<Policy<"request">>];
const broken: readonly Broken[] = [
  ["no order of events", /scored 2, outside/, () => ({ score: () => 2 })],
  [
    "same steps",
    /answer \d+ was .*forMs: 2.* again.*\n?.*context's clock/s,
    () => ({
      act: (ranked) =>
        ranked.map(({ item: call }) => ({
          type: "hold",
          call,
          forMs: Math.random() * 10,
          reason: "not yet",
        })),
    }),
  ],
  ["same steps", /context's clock/, () => ({ score: () => (Date.now() / 1e13) % 1 })],
  [
    "every verdict",
    /hold of a request came with the reason ' '/,
    () => ({
      act: (ranked) => ranked.map(({ item: call }) => ({ type: "hold", call, forMs: 1, reason: " " })),
    }),
  ],
  [
    "every verdict",
    /deny of a request came with the reason undefined/,
    () => ({ act: (ranked) => ranked.map(({ item: call }) => ({ type: "deny", call }) as never) }),
  ],
  [
    "what it remembers comes",
    /seed 1/,
    () => {
      let count = 0;
      return { decided: () => void count++, snapshot: () => count };
    },
  ],
  [
    "what it costs",
    /it reads again what it has seen/,
    () => {
      const seen: { readonly type: string }[] = [];
      return { observe: (event) => void (seen.push(event) && seen.filter(({ type }) => type === "run-end")) };
    },
  ],
  [
    "what it costs",
    /its snapshot had \d+ parts .* it keeps what has ended/,
    () => {
      const runs: string[] = [];
      return {
        observe: (event) => void (event.type === "run-start" && runs.push(event.run)),
        snapshot: () => runs,
      };
    },
  ],
  [
    "closing it",
    /close threw/,
    () => ({
      close: () => {
        throw new Error("no such file");
      },
    }),
  ],
];

test.each(broken)("a policy that breaks its contract is found out: %s, by %s", (what, found, create) => {
  expect(() => caseOf({ ...sound, create }, what)).toThrow(found);
});

test.each([
  [{ subject: "requests" }, /subject has 'requests', which there is not: use prefix, request/],
  [{ subject: [] }, /subject names nothing/],
  [{ actions: ["admitt"] }, /actions has 'admitt', which there is not: use retain/],
])("a definition with what there is not is found out: %j", (change, found) => {
  expect(() => caseOf({ ...sound, ...(change as object) }, "its subjects")).toThrow(found);
});

test.each([
  [
    "admission",
    { min: 9, max: 3 },
    "option min: 9 calls at least and 3 at most leave nothing: give a min of at most 3",
  ],
  [
    "safety",
    { auditKey: "secret" },
    "option auditLog: auditKey is given without the file that it is the key of",
  ],
  [
    "safety",
    { approvals: [{ modelCall: "cost", above: 1 }] },
    "option prices.prompt: Without it no model call costs",
  ],
  [
    "tool-memo",
    { tools: { read: { tags: ["files"] } }, invalidates: { write: ["file"] } },
    'option invalidates.write: No tool in `tools` has the tag "file", so that nothing would become void; tags are: files',
  ],
])("options that contradict each other are refused: %s %j", async (name, given, message) => {
  const { options } = await policies.load(name);
  expect(() => parseOptions(`policy ${name}`, options, given)).toThrow(message);
});

test("a secret is in no message", async () => {
  const { options } = await policies.load("safety");
  expect(() => parseOptions("policy safety", options, { auditKey: "secret" })).toThrow(/^(?!.*"secret")/s);
});

function caseOf(definition: PolicyDefinition<Subject>, what: string): void {
  policyConformance(definition)
    .find(({ name }) => name.startsWith(what))
    ?.run();
}
