import type { AsyncLocalStorage } from "node:async_hooks";
import type { Status } from "../runtime/event.ts";
import type { CallScope } from "./span.ts";
import { statusOf } from "./status.ts";

/**
 * Runs `call` in a scope, tells how it ended, and hands back exactly what it returned or threw. Only real promises are
 * followed: asking any other thenable for its value may start it twice. `onEnd` must not throw.
 */
export function settle<T>(
  scopes: AsyncLocalStorage<CallScope>,
  scope: CallScope,
  call: () => T,
  onEnd: (status: Status, output?: unknown) => void,
): T {
  let result: T;
  try {
    result = scopes.run(scope, call);
  } catch (error) {
    onEnd(statusOf(error), error);
    throw error;
  }
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
