import { z } from "zod";
import type { CallSubject, ToolCallSubject } from "../runtime/call.ts";

const argument = z
  .string()
  .min(1)
  .describe("Name of an argument; dots lead into objects, as in order.amount.");
const agents = z.array(z.string()).optional().describe("Agents that this holds for; default: all.");
/** What an argument of a tool may be. */
export const dataScope = z
  .strictObject({
    tool: z.string(),
    argument,
    is: z.enum(["tenant", "session"]).optional().describe("It must be the run's own tenant or session."),
    oneOf: z
      .array(z.union([z.string(), z.number(), z.boolean()]))
      .optional()
      .describe("It must be one of these."),
    startsWith: z.string().optional().describe("It must be a text that begins so."),
    agents,
  })
  .refine((rule) => rule.is !== undefined || rule.oneOf !== undefined || rule.startsWith !== undefined, {
    error: "A rule that allows everything: give it is, oneOf or startsWith",
  });
const toolApproval = z
  .strictObject({
    tool: z.string(),
    argument: argument.optional(),
    above: z
      .number()
      .optional()
      .describe("A human is asked when the argument is more than this, or no number at all."),
    agents,
  })
  .refine((rule) => (rule.argument === undefined) === (rule.above === undefined), {
    error: "argument and above go together; without both, a human is asked about each call",
  });
const modelApproval = z.strictObject({
  modelCall: z
    .enum(["tokens", "cost"])
    .describe("Estimated prompt tokens of a model call, or their cost by `prices`."),
  above: z.number().nonnegative().describe("A human is asked when it is more than this."),
  agents,
});
/** A call that a human has to let go on. */
export const approval = z.union([toolApproval, modelApproval]);

type DataScope = z.output<typeof dataScope>;
type Approval = z.output<typeof approval>;

/** Whether a human is asked by what a call costs, so that prices have to be known. */
export function isByCost(rule: Approval): boolean {
  return "modelCall" in rule && rule.modelCall === "cost";
}

/** What is wrong with the arguments of a tool call, in words; undefined when they are within all data scopes. */
export function wrongData(rules: readonly DataScope[], call: ToolCallSubject): string | undefined {
  for (const rule of rules) {
    if (rule.tool !== call.tool || rule.agents?.includes(call.agent) === false) continue;
    const value = argumentOf(call.args, rule.argument);
    const own = rule.is === "tenant" ? call.tenant : call.session;
    if (rule.is !== undefined && own === undefined)
      return `argument ${rule.argument} of tool ${call.tool} must be the run's own ${rule.is}, and the run has none`;
    const isIn =
      (rule.is === undefined || (typeof value === "number" ? String(value) : value) === own) &&
      (rule.oneOf === undefined || rule.oneOf.some((allowed) => allowed === value)) &&
      (rule.startsWith === undefined || (typeof value === "string" && value.startsWith(rule.startsWith)));
    if (!isIn)
      return `argument ${rule.argument} of tool ${call.tool} is outside of what ${call.agent} may touch`;
  }
  return undefined;
}

/**
 * What a human is asked about a call, by the first rule that wants it; undefined when none does.
 *
 * @param promptPrice cost of a million prompt tokens.
 */
export function questionOf(
  rules: readonly Approval[],
  promptPrice: number,
  call: CallSubject,
): string | undefined {
  for (const rule of rules) {
    if (rule.agents?.includes(call.agent) === false) continue;
    const question = "tool" in rule ? questionOfTool(call, rule) : questionOfModel(call, rule, promptPrice);
    if (question !== undefined) return question;
  }
  return undefined;
}

function questionOfTool(
  call: CallSubject,
  { tool, argument: name, above }: z.output<typeof toolApproval>,
): string | undefined {
  if (call.kind !== "tool-call" || call.tool !== tool) return undefined;
  const { agent, args } = call;
  if (name === undefined || above === undefined) return `May ${agent} call ${tool}?`;
  const value = argumentOf(args, name);
  if (typeof value !== "number") return `May ${agent} call ${tool}, whose ${name} is no number?`;
  return value <= above ? undefined : `May ${agent} call ${tool} with ${name} ${value}, above ${above}?`;
}

function questionOfModel(
  call: CallSubject,
  { modelCall, above }: z.output<typeof modelApproval>,
  promptPrice: number,
): string | undefined {
  if (call.kind !== "request") return undefined;
  const amount = modelCall === "tokens" ? call.tokens : (call.tokens * promptPrice) / 1e6;
  // Without the amount: an estimate is another one when the node runs again with the answer.
  return amount > above
    ? `May ${call.agent} make a model call of more than ${above} (${modelCall})?`
    : undefined;
}

/** The value that a path such as `order.amount` leads to, by own fields only. */
function argumentOf(args: unknown, path: string): unknown {
  let at = args;
  for (const name of path.split(".")) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, name)) return undefined;
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}
