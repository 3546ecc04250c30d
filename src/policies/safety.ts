import { createHash } from "node:crypto";
import { z } from "zod";
import { chained, type ChainEnd, chainEnd, CLOSED, EMPTY_CHAIN } from "../audit/chain.ts";
import { InvalidOptionsError } from "../errors.ts";
import type { Action, Verdict } from "../runtime/action.ts";
import type { RequestSubject, ToolCallSubject, TransitionSubject } from "../runtime/call.ts";
import { type Event, type RunId, START } from "../runtime/event.ts";
import {
  definePolicy,
  type Policy,
  type PolicyContext,
  type PolicyLog,
  type Scored,
} from "../runtime/policy.ts";

const argument = z
  .string()
  .min(1)
  .describe("Name of an argument; dots lead into objects, as in order.amount.");
const dataScope = z.strictObject({
  tool: z.string(),
  argument,
  is: z.enum(["tenant", "session"]).optional().describe("It must be the run's own tenant or session."),
  oneOf: z
    .array(z.union([z.string(), z.number(), z.boolean()]))
    .optional()
    .describe("It must be one of these."),
  startsWith: z.string().optional().describe("It must be a text that begins so."),
  agents: z.array(z.string()).optional().describe("Agents that this holds for; default: all."),
});
const approval = z.strictObject({
  tool: z.string(),
  argument: argument.optional(),
  above: z
    .number()
    .optional()
    .describe("A human is asked when the argument is more than this, or no number at all."),
  agents: z.array(z.string()).optional().describe("Agents that this holds for; default: all."),
});
const budget = z.strictObject({
  modelCalls: z.number().int().positive().optional(),
  toolCalls: z.number().int().positive().optional(),
  tokens: z
    .number()
    .int()
    .positive()
    .optional()
    .describe("Prompt and output tokens, as the engine reports them."),
  cost: z.number().positive().optional().describe("In the unit of `prices`."),
});

const options = z.strictObject({
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
      "Calls that a human has to let go on, by a LangGraph interrupt; resume with true, or { approved: true }.",
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
});

/** What it judges. A late request was let go on already. */
type Judged = RequestSubject | ToolCallSubject | TransitionSubject;
type Options = z.output<typeof options>;

interface Spent {
  modelCalls: number;
  toolCalls: number;
  tokens: number;
  cost: number;
}

/**
 * Agents do what their role allows.
 *
 * Who calls is known from LangGraph, and what is allowed from these options: nothing that a model reads or writes changes
 * either. Fails closed: what cannot be judged, because the policy failed or its log cannot be written, is denied.
 */
export default definePolicy({
  name: "safety",
  description:
    "Allow-lists for tools and transitions, data scopes, approvals, budgets, a hash-chained audit log",
  subject: ["tool-call", "transition", "request"],
  actions: ["admit", "ask", "deny"],
  onFault: "closed",
  options,
  create: (context): Policy<Judged["kind"]> => new Safety(context),
});

class Safety implements Policy<Judged["kind"]> {
  readonly #options: Options;
  readonly #tools: ReadonlyMap<string, readonly string[]> | undefined;
  readonly #transitions: ReadonlyMap<string, readonly string[]> | undefined;
  readonly #spent = new Map<RunId, Spent>();
  readonly #log: PolicyLog | undefined;
  #chain: ChainEnd = EMPTY_CHAIN;
  /** Set when the log could not be written: from then on everything is denied. */
  #isLogBroken = false;

  constructor({ options: chosen, openLog }: PolicyContext<Options>) {
    this.#options = chosen;
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
      throw new InvalidOptionsError("policy safety", `option auditLog: ${chosen.auditLog} is no audit log`, {
        hint: "Name a new file, or one that this policy has written.",
      });
    this.#chain = end;
  }

  observe(event: Event): void {
    if (event.type === "run-end") this.#spent.delete(event.run);
    if (event.type !== "request-end" || !event.usage) return;
    const { promptTokens = 0, outputTokens = 0 } = event.usage;
    const { prices } = this.#options;
    const spent = this.#spentBy(event.run);
    spent.tokens += promptTokens + outputTokens;
    spent.cost += (promptTokens * prices.prompt + outputTokens * prices.output) / 1e6;
  }

  act(ranked: readonly Scored<Judged["kind"]>[]): readonly Action[] {
    return ranked.flatMap(({ item: call }): Action | readonly Action[] => {
      if (this.#isLogBroken) return { type: "deny", call, reason: "the audit log cannot be written" };
      const wrong = this.#wrongWith(call);
      if (wrong !== undefined) return this.#forbidden(call, wrong);
      const question = call.kind === "tool-call" ? this.#question(call) : undefined;
      return question === undefined ? [] : { type: "ask", call, question, reason: question };
    });
  }

  decided(call: Judged, verdict: Verdict): void {
    if (verdict.type === "admit") {
      const spent = this.#spentBy(call.run);
      if (call.kind === "request") spent.modelCalls++;
      else if (call.kind === "tool-call") spent.toolCalls++;
    }
    this.#write({
      kind: call.kind,
      verdict: verdict.type,
      agent: call.agent,
      run: call.run,
      ...(call.session !== undefined && { session: call.session }),
      ...(call.tenant !== undefined && { tenant: call.tenant }),
      ...(call.kind === "tool-call" && { tool: call.tool, arguments: digest(call.args) }),
      ...(call.kind === "transition" && { from: call.from }),
      ...(verdict.reason !== undefined && { reason: verdict.reason }),
    });
  }

  /** What the runs under way have spent. */
  snapshot(): unknown {
    return [...this.#spent].map(([run, spent]) => ({ run, ...spent }));
  }

  restore(state: unknown): void {
    for (const { run, ...spent } of spentState.parse(state)) this.#spent.set(run, spent);
  }

  close(): void {
    this.#write({ kind: "log", verdict: CLOSED });
    this.#log?.close();
  }

  #forbidden(call: Judged, reason: string): Action {
    const { mode } = this.#options;
    if (mode === "log") return { type: "admit", call, reason: `allowed in log mode: ${reason}` };
    // A model call cannot wait for a human: LangGraph would run its node, and pay for it, once more.
    if (mode === "deny" || call.kind === "request") return { type: "deny", call, reason };
    return { type: "ask", call, question: `Forbidden: ${reason}. Allow it?`, reason };
  }

  #wrongWith(call: Judged): string | undefined {
    switch (call.kind) {
      case "request":
        return this.#overBudget(call, ["modelCalls", "tokens", "cost"]);
      case "transition":
        return this.#wrongStep(call);
      case "tool-call":
        return this.#wrongTool(call) ?? this.#wrongData(call) ?? this.#overBudget(call, ["toolCalls"]);
    }
  }

  #wrongTool({ agent, tool }: ToolCallSubject): string | undefined {
    if (!this.#tools) return undefined;
    const allowed = [...(this.#tools.get(agent) ?? []), ...(this.#tools.get("*") ?? [])];
    if (allowed.includes(tool) || allowed.includes("*")) return undefined;
    return `agent ${agent || "(unknown)"} may not call tool ${tool}`;
  }

  #wrongStep({ from, agent }: TransitionSubject): string | undefined {
    const rules = this.#transitions;
    if (!rules) return undefined;
    const before = from.length === 0 ? [START] : from;
    const leads = (one: string) => [...(rules.get(one) ?? []), ...(rules.get("*") ?? [])];
    // Of several agents at once, any may have led here: LangGraph does not say which.
    if (before.some((one) => leads(one).includes(agent) || leads(one).includes("*"))) return undefined;
    return `${agent} may not start after ${before.join(", ")}`;
  }

  #wrongData(call: ToolCallSubject): string | undefined {
    for (const rule of this.#options.data) {
      if (rule.tool !== call.tool || rule.agents?.includes(call.agent) === false) continue;
      const value = argumentOf(call.args, rule.argument);
      const own = rule.is === "tenant" ? call.tenant : call.session;
      const isIn =
        (rule.is === undefined || (own !== undefined && value === own)) &&
        (rule.oneOf === undefined || rule.oneOf.some((allowed) => allowed === value)) &&
        (rule.startsWith === undefined || (typeof value === "string" && value.startsWith(rule.startsWith)));
      if (!isIn)
        return `argument ${rule.argument} of tool ${call.tool} is outside of what ${call.agent} may touch`;
    }
    return undefined;
  }

  #question(call: ToolCallSubject): string | undefined {
    for (const { tool, argument: name, above, agents } of this.#options.approvals) {
      if (tool !== call.tool || agents?.includes(call.agent) === false) continue;
      if (name === undefined || above === undefined) return `May ${call.agent} call ${tool}?`;
      const value = argumentOf(call.args, name);
      if (typeof value !== "number") return `May ${call.agent} call ${tool}, whose ${name} is no number?`;
      if (!(value <= above)) return `May ${call.agent} call ${tool} with ${name} ${value}, above ${above}?`;
    }
    return undefined;
  }

  #overBudget(
    { run }: RequestSubject | ToolCallSubject,
    kinds: readonly (keyof Spent)[],
  ): string | undefined {
    const spent = this.#spent.get(run);
    if (!spent) return undefined;
    for (const kind of kinds) {
      const most = this.#options.budget[kind];
      if (most !== undefined && spent[kind] >= most) return `the run's budget of ${most} (${kind}) is spent`;
    }
    return undefined;
  }

  #spentBy(run: RunId): Spent {
    let spent = this.#spent.get(run);
    if (!spent) {
      // Runs whose end nobody sees leave oldest first.
      const oldest = this.#spent.keys().next().value;
      if (this.#spent.size >= MAX_RUNS && oldest !== undefined) this.#spent.delete(oldest);
      this.#spent.set(run, (spent = { modelCalls: 0, toolCalls: 0, tokens: 0, cost: 0 }));
    }
    return spent;
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

const MAX_RUNS = 10_000;
const count = z.number().nonnegative();
const spentState = z.array(
  z.strictObject({ run: z.string(), modelCalls: count, toolCalls: count, tokens: count, cost: count }),
);

/** The value that a path such as `order.amount` leads to, by own fields only. */
function argumentOf(args: unknown, path: string): unknown {
  let at = args;
  for (const name of path.split(".")) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, name)) return undefined;
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}

/** Arguments may be private: the log commits to them and does not hold them. */
function digest(args: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(args) ?? "";
  } catch {
    text = "not JSON";
  }
  return createHash("sha256").update(text).digest("hex");
}
