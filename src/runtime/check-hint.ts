import { type Action, type ActionType, type Advice, isVerdict } from "./action.ts";

/** Throws where what a policy returned is no hint: undeclared, without a prefix, or with numbers that are none. */
export function checkHint(action: Action, declared: readonly ActionType[]): asserts action is Advice {
  if (isVerdict(action) || !declared.includes(action.type))
    throw new Error(`returned ${String(action.type)}, which it does not declare`);
  const { agent, run, branch = 0 } = action.prefix;
  if (typeof agent !== "string" || (run !== undefined && typeof run !== "string"))
    throw new Error(`returned ${action.type} for a prefix that names no agent, or a run that is no text`);
  if (!(Number.isInteger(branch) && branch >= 0))
    throw new Error(
      `returned ${action.type} for branch ${String(branch)} of a prompt, which is no number from 0 on`,
    );
  if ((action.type === "retain" || action.type === "prefetch") && !isShare(action.value))
    throw new Error(`returned a value outside [0, 1]: ${String(action.value)}`);
  if (action.type === "retain" && action.tail && !(isShare(action.tail.value) && action.tail.tokens > 0))
    throw new Error(`returned ${action.tail.tokens} tokens of ${action.tail.value} at the end of a prompt`);
  if (action.type === "speculate") {
    const { from, probability, tokens } = action;
    if (typeof from !== "string" || run === undefined || !isShare(probability) || !(tokens >= 0))
      throw new Error(
        `returned a speculation of ${tokens} tokens at ${probability}, in no run or from no agent`,
      );
  }
  if (action.type !== "prefetch") return;
  const { probability, tokens, without = 0, afterMs = 0 } = action;
  if (!isShare(probability) || !(tokens >= 0) || !(without >= 0) || !(afterMs >= 0))
    throw new Error(`returned a prefetch of ${tokens} tokens at ${probability}, ${afterMs} ms from now`);
}

function isShare(value: number): boolean {
  return value >= 0 && value <= 1;
}
