import { ActionDeniedError } from "../errors.ts";
import type { AskVerdict } from "../runtime/action.ts";
import type { CallResult, CallSubject } from "../runtime/call.ts";
import type { Decision } from "../runtime/gate.ts";
import type { CallGate, Host } from "./host.ts";
import { type ConfigLike, isObject } from "./shapes.ts";
import { askTask, isInterrupt, OtherQuestionError } from "./task-questions.ts";

/** The value of the interrupt by which a human is asked about a call. Resume with `true` to let it go on. */
export interface ApprovalRequest {
  readonly type: "cachesage-approval";
  readonly policy: string;
  readonly question: string;
  readonly agent: string;
  readonly tool?: string;
  readonly args?: unknown;
}

/**
 * What the gate says about a call. Rejects when the signal aborts, and never else: a gate that fails lets the call go on,
 * unless a policy at it fails closed.
 */
export function askGate(
  host: Host,
  gate: CallGate,
  call: CallSubject,
  signal?: AbortSignal,
): Decision | Promise<Decision> {
  const contain = (error: unknown): Decision => {
    if (signal?.aborted) throw error;
    host.fault("gate", error);
    if (!gate.failsClosed(call.kind)) return { verdict: { type: "admit", call } };
    return { verdict: { type: "deny", call, reason: "the gate failed, and it fails closed" } };
  };
  try {
    const decision = gate.ask(call, signal);
    return decision instanceof Promise ? decision.catch(contain) : decision;
  } catch (error) {
    return contain(error);
  }
}

/** Tells the gate how a call ended; its own faults are contained. */
export function leaveGate(host: Host, gate: CallGate, call: CallSubject, result: CallResult): void {
  try {
    gate.leave(call, result);
  } catch (error) {
    host.fault("gate", error);
  }
}

/**
 * Asks a human by a LangGraph interrupt; throws LangGraph's own error until it is answered, and an ActionDeniedError when the
 * answer is no, when it was given to another question, or when nobody can be asked.
 *
 * @param config of the node that the call is in; undefined: it is in none.
 */
export async function askHuman(
  gate: CallGate,
  call: CallSubject,
  { verdict, policy = "cachesage" }: { readonly verdict: AskVerdict; readonly policy?: string },
  config: ConfigLike | undefined,
): Promise<void> {
  const request: ApprovalRequest = {
    type: "cachesage-approval",
    policy,
    question: verdict.question,
    agent: call.agent,
    ...(call.kind === "tool-call" && { tool: call.tool, args: call.args }),
  };
  const refuse = (reason: string, cause?: unknown): never => {
    gate.answer(call, policy, { type: "deny", call, reason });
    throw new ActionDeniedError(policy, describe(call), reason, cause);
  };
  let answer: unknown;
  try {
    if (config === undefined) throw new Error("it is in no node that cachesage has wrapped");
    answer = await askTask(request, config);
  } catch (error) {
    if (isInterrupt(error)) throw error;
    if (error instanceof OtherQuestionError) return refuse("the human's answer was to another question");
    const [why = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    return refuse(
      `a human has to allow it, and nobody can be asked (${why}): run it in a node of a graph that is instrumented ` +
        "and compiled with a checkpointer",
      error,
    );
  }
  if (answer !== true && !(isObject(answer) && answer["approved"] === true))
    return refuse("refused by a human");
  gate.answer(call, policy, { type: "admit", call, reason: "approved by a human" });
}

/** The denial that the graph sees. */
export function denialOf(call: CallSubject, { verdict, policy }: Decision): ActionDeniedError {
  const reason = verdict.reason ?? "no reason given";
  return new ActionDeniedError(policy ?? "cachesage", describe(call), reason);
}

function describe(call: CallSubject): string {
  switch (call.kind) {
    case "request":
      return `a model call of agent ${call.agent}`;
    case "late-request":
      return `a second model call of agent ${call.agent}`;
    case "tool-call":
      return `tool ${call.tool} of agent ${call.agent || "(unknown)"}`;
    case "transition":
      return `the step ${call.from.join(", ") || "__start__"} -> ${call.agent}`;
  }
}
