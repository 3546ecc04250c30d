import type { Status } from "../runtime/event.ts";
import { statusOf } from "./status.ts";

/**
 * Runs `call`, tells how it ended, and hands back exactly what it returned or threw. Only real promises are followed:
 * asking any other thenable for its value may start it twice. `onEnd` must not throw.
 */
export function settle<T>(call: () => T, onEnd: (status: Status, output?: unknown) => void): T {
  let result: T;
  try {
    result = call();
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
