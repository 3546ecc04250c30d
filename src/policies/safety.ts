import { z } from "zod";
import { approval, dataScope, isByCost, questionOf, wrongData } from "../audit/call-rules.ts";
import { chained, type ChainEnd, chainEnd, CLOSED, EMPTY_CHAIN } from "../audit/chain.ts";
import { digest } from "../audit/digest.ts";
import { type Kind, Spending } from "../audit/spending.ts";
import { InvalidOptionsError } from "../errors.ts";
import type { Action, Verdict } from "../runtime/action.ts";
import { Habits, habitsState } from "../learn/habits.ts";
import type { CallSubject, ToolCallSubject, TransitionSubject } from "../runtime/call.ts";
import { type Event, type RunId, START } from "../runtime/event.ts";
import {
  definePolicy,
  type Policy,
  type PolicyContext,
  type PolicyLog,
  type Scored,
} from "../runtime/policy.ts";

const budget = z.strictObject({
  modelCalls: z.number().int().positive().optional(),
  toolCalls: z.number().int().positive().optional(),
  tokens: z
    .number()
    .int()
    .positive()
    .optional()
    .describe(
      "Prompt and output tokens, as the engine reports them; of calls under way the estimated prompt.",
    ),
  cost: z.number().positive().optional().describe("In the unit of `prices`."),
});

const options = z
  .strictObject({
    mode: z
      .enum(["deny", "ask", "log"])
      .default("deny")
      .describe(
        "What a forbidden call gets: stopped, a human's decision, or only a line in the ledger and audit log.",
      ),
    tools: z
      .record(z.string(), z.array(z.string()))
      .optional()
      .describe(
        "By agent: the tools that it may call. An agent that is not named may call none; * is all agents, or all tools.",
      ),
    transitions: z
      .record(z.string(), z.array(z.string()))
      .optional()
      .describe("By agent: the agents that may start after it; __start__ is the begin of a graph, * is all."),
    data: z.array(dataScope).default([]).describe("What arguments of tools may be."),
    approvals: z
      .array(approval)
      .default([])
      .describe(
        "Tool calls and model calls that a human has to let go on, by a LangGraph interrupt; resume with true, or { approved: true }.",
      ),
    outOfCharacter: z
      .enum(["off", "log", "ask", "deny"])
      .default("log")
      .describe(
        "What a transition or a tool gets that its agent, after so many others, has never been seen with: as in `mode`.",
      ),
    falseAlarms: z
      .number()
      .positive()
      .max(0.5)
      .default(0.001)
      .describe(
        "Most calls, as a share, that are out of character by chance. An agent is known well enough after at least one over this many.",
      ),
    budget: budget.default({}).describe("Most that one run may spend; what is over it is forbidden."),
    prices: z
      .strictObject({ prompt: z.number().nonnegative(), output: z.number().nonnegative() })
      .default({ prompt: 0, output: 0 })
      .describe("Cost of a million tokens."),
    auditLog: z
      .string()
      .min(1)
      .optional()
      .describe("File that every verdict is appended to, each chained to the one before."),
    auditKey: z
      .string()
      .min(1)
      .optional()
      .describe("Key of the chain: without it nobody can write the log anew."),
  })
  .refine(({ budget: { cost }, prices }) => cost === undefined || prices.prompt + prices.output > 0, {
    path: ["budget", "cost"],
    error: "Without `prices` nothing costs anything, and the budget is never spent",
  })
  .refine(({ approvals: all, prices: { prompt } }) => prompt > 0 || !all.some(isByCost), {
    path: ["prices", "prompt"],
    error: "Without it no model call costs anything, and the approval by cost is never asked for",
  })
  .refine(({ auditKey, auditLog }) => auditKey === undefined || auditLog !== undefined, {
    path: ["auditLog"],
    error: "auditKey is given without the file that it is the key of: name one",
  });

type Options = z.output<typeof options>;

const OF_MODEL = ["modelCalls", "tokens", "cost"] as const satisfies readonly Kind[];

/**
 * Agents do what their role allows.
 *
 * Who calls is known from LangGraph, and what is allowed from these options: nothing that a model reads or writes changes
 * either. Fails closed: what cannot be judged, because the policy failed or its log cannot be written, is denied.
 */
export default definePolicy({
  name: "safety",
  description:
    "Allow-lists for tools and transitions, data scopes, approvals, budgets, out-of-character calls, a hash-chained audit log",
  subject: ["tool-call", "transition", "request", "late-request"],
  actions: ["admit", "ask", "deny"],
  onFault: "closed",
  options,
  create: (context): Policy<CallSubject["kind"]> => new Safety(context),
});

class Safety implements Policy<CallSubject["kind"]> {
  readonly #options: Options;
  readonly #tools: ReadonlyMap<string, readonly string[]> | undefined;
  readonly #transitions: ReadonlyMap<string, readonly string[]> | undefined;
  readonly #spending: Spending;
  readonly #steps = new Habits();
  readonly #toolsUsed = new Habits();
  readonly #log: PolicyLog | undefined;
  #chain: ChainEnd = EMPTY_CHAIN;
  /** Set when the log could not be written: as this policy fails closed, everything is denied from then on. */
  #isLogBroken = false;

  constructor({ options: chosen, openLog }: PolicyContext<Options>) {
    this.#options = chosen;
    this.#spending = new Spending(chosen.prices);
    // Names come from a model; on a plain object, some of them would find what is no rule.
    this.#tools = chosen.tools && new Map(Object.entries(chosen.tools));
    this.#transitions = chosen.transitions && new Map(Object.entries(chosen.transitions));
    if (chosen.auditLog === undefined) return;
    this.#log = openLog?.(chosen.auditLog);
    if (!this.#log)
      throw new InvalidOptionsError("policy safety", "option auditLog: files cannot be opened here");
    if (this.#log.last === undefined) return;
    const end = chainEnd(this.#log.last);
    if (!end)
      throw new InvalidOptionsError(
        "policy safety",
        `option auditLog: ${chosen.auditLog} is no audit log, or its last line was cut short`,
        {
          hint: "Name a new file, or one that this policy has written; leave this one as it is.",
        },
      );
    this.#chain = end;
  }

  observe(event: Event): void {
    this.#spending.observe(event);
  }

  act(ranked: readonly Scored<CallSubject["kind"]>[]): readonly Action[] {
    return ranked.flatMap(({ item }) => this.#judge(item) ?? []);
  }

  #judge(call: CallSubject): Action | undefined {
    const { mode, outOfCharacter } = this.#options;
    const wrong = this.#wrongWith(call);
    // A second attempt is an extra: nobody is asked about it.
    if (wrong !== undefined && (mode === "deny" || (mode === "ask" && call.kind === "late-request")))
      return { type: "deny", call, reason: wrong };
    const strange = outOfCharacter === "off" ? undefined : this.#strange(call);
    if (strange && outOfCharacter === "deny") return { type: "deny", call, reason: strange.reason };
    if (wrong !== undefined && mode === "ask")
      return { type: "ask", call, question: `Forbidden: ${wrong}. Allow it?`, reason: wrong };
    const question = questionOf(this.#options.approvals, this.#options.prices.prompt, call);
    if (question !== undefined) return { type: "ask", call, question, reason: question };
    if (strange && outOfCharacter === "ask") {
      const { what, reason } = strange;
      return { type: "ask", call, question: `Out of character: ${what}. Allow it?`, reason };
    }
    if (wrong !== undefined) return { type: "admit", call, reason: `allowed in log mode: ${wrong}` };
    return strange && { type: "admit", call, reason: `out of character: ${strange.reason}` };
  }

  decided(call: CallSubject, verdict: Verdict): void {
    // Its own remark, whichever policy let the call go on.
    const own = this.#log && isLetGo(verdict) ? this.#judge(call) : undefined;
    const reason = own?.type === "admit" ? own.reason : verdict.reason;
    this.#spending.decided(call, verdict);
    this.#learn(call, verdict.type);
    this.#write({
      kind: call.kind,
      verdict: verdict.type,
      agent: call.agent,
      run: call.run,
      ...(call.session !== undefined && { session: call.session }),
      ...(call.tenant !== undefined && { tenant: call.tenant }),
      ...(call.kind === "tool-call" && { tool: call.tool, arguments: digest(call.args) }),
      ...(call.kind === "transition" && { from: call.from }),
      ...(reason !== undefined && { reason }),
    });
  }

  ended(call: CallSubject): void {
    if (call.kind === "request") this.#spending.ended(call);
  }

  /** What is stopped is no habit. */
  #learn(call: CallSubject, verdict: Verdict["type"]): void {
    if (verdict !== "admit" && verdict !== "reuse") return;
    if (call.kind === "tool-call") this.#toolsUsed.add(call.agent, call.tool);
    else if (call.kind === "transition") for (const one of before(call)) this.#steps.add(one, call.agent);
  }

  /** What agents do, and what runs have spent that may go on with their session; of both no ids. */
  snapshot(): unknown {
    return {
      spent: this.#spending.snapshot(),
      steps: this.#steps.snapshot(),
      tools: this.#toolsUsed.snapshot(),
    };
  }

  restore(given: unknown): void {
    const { spent, steps, tools } = state.parse(given);
    this.#spending.restore(spent);
    this.#steps.restore(steps);
    this.#toolsUsed.restore(tools);
  }

  close(): void {
    this.#write({ kind: "log", verdict: CLOSED });
    this.#log?.close();
  }

  #wrongWith(call: CallSubject): string | undefined {
    switch (call.kind) {
      case "request":
      case "late-request":
        return this.#overBudget(call.run, OF_MODEL);
      case "transition":
        return this.#wrongStep(call);
      case "tool-call":
        return (
          this.#wrongTool(call) ??
          wrongData(this.#options.data, call) ??
          this.#overBudget(call.run, ["toolCalls"])
        );
    }
  }

  /** What its agent has never done, although it has done so much else that this is hardly chance. */
  #strange(call: CallSubject): { readonly what: string; readonly reason: string } | undefined {
    const { falseAlarms } = this.#options;
    if (call.kind === "tool-call") {
      const { agent, tool } = call;
      if (this.#toolsUsed.chance(agent, tool) > falseAlarms) return undefined;
      const what = `${agent} has never called ${tool}`;
      return { what, reason: `${what} in ${this.#toolsUsed.seen(agent)} tool calls` };
    }
    if (call.kind !== "transition") return undefined;
    const from = before(call);
    // Of several agents at once, any may have led here.
    if (from.some((one) => this.#steps.chance(one, call.agent) > falseAlarms)) return undefined;
    const what = `${call.agent} has never started after ${from.join(", ")}`;
    return { what, reason: `${what} in ${from.map((one) => this.#steps.seen(one)).join(", ")} times` };
  }

  #wrongTool({ agent, tool }: ToolCallSubject): string | undefined {
    if (!this.#tools) return undefined;
    const allowed = [...(this.#tools.get(agent) ?? []), ...(this.#tools.get("*") ?? [])];
    if (allowed.includes(tool) || allowed.includes("*")) return undefined;
    return `agent ${agent || "(unknown)"} may not call tool ${tool}`;
  }

  #wrongStep(call: TransitionSubject): string | undefined {
    const { agent } = call;
    const rules = this.#transitions;
    if (!rules) return undefined;
    const from = before(call);
    const leads = (one: string) => [...(rules.get(one) ?? []), ...(rules.get("*") ?? [])];
    // Of several agents at once, any may have led here: LangGraph does not say which.
    if (from.some((one) => leads(one).includes(agent) || leads(one).includes("*"))) return undefined;
    return `${agent} may not start after ${from.join(", ")}`;
  }

  #overBudget(run: RunId, kinds: readonly Kind[]): string | undefined {
    const spent = this.#spending.of(run);
    if (!spent) return undefined;
    for (const kind of kinds) {
      const most = this.#options.budget[kind];
      if (most !== undefined && spent[kind] >= most) return `the run's budget of ${most} (${kind}) is spent`;
    }
    return undefined;
  }

  #write(entry: Readonly<Record<string, unknown>>): void {
    if (!this.#log || this.#isLogBroken) return;
    try {
      const at = new Date(this.#log.now()).toISOString();
      const { line, end } = chained(this.#chain, { at, ...entry }, this.#options.auditKey);
      this.#log.append(line);
      this.#chain = end;
    } catch (error) {
      this.#isLogBroken = true;
      throw error;
    }
  }
}

const amount = z.number().nonnegative();
const spent = z.strictObject({ modelCalls: amount, toolCalls: amount, tokens: amount, cost: amount });
const state = z.strictObject({
  spent: z.array(z.tuple([z.string(), spent])),
  steps: habitsState,
  tools: habitsState,
});

/** Agents that this one follows. */
function before({ from }: TransitionSubject): readonly string[] {
  return from.length === 0 ? [START] : from;
}

function isLetGo({ type }: Verdict): boolean {
  return type !== "deny" && type !== "ask";
}
