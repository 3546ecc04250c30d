import type { AsyncLocalStorage } from "node:async_hooks";
import type { Status } from "../runtime/event.ts";
import type { CallScope } from "./span.ts";
import { statusOf } from "./status.ts";

type OnEnd = (status: Status, output?: unknown) => void;

/**
 * Runs `call`, tells how it ended, and hands back exactly what it returned or threw. Only real promises are followed:
 * asking any other thenable for its value may start it twice. `onEnd` must not throw.
 */
export function settle<T>(call: () => T, onEnd: OnEnd): T {
  let result: T;
  try {
    result = call();
  } catch (error) {
    onEnd(statusOf(error), error);
    throw error;
  }
  return followed(result, onEnd);
}

/** The same in a scope, without a closure around the call: every node passes here. */
export function settleIn<T>(
  scopes: AsyncLocalStorage<CallScope>,
  scope: CallScope,
  call: () => T,
  onEnd: OnEnd,
): T {
  let result: T;
  try {
    result = scopes.run(scope, call);
  } catch (error) {
    onEnd(statusOf(error), error);
    throw error;
  }
  return followed(result, onEnd);
}

function followed<T>(result: T, onEnd: OnEnd): T {
  if (result instanceof Promise) {
    result.then(
      (output) => onEnd("completed", output),
      (error) => onEnd(statusOf(error), error),
    );
  } else {
    onEnd("completed", result);
  }
  return result;
}
