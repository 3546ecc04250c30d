import type { CacheSageHandler } from "./handler.ts";
import { isObject } from "./shapes.ts";

interface CallbackManagerLike {
  readonly handlers: readonly unknown[];
  copy(): CallbackManagerLike;
  addHandler(handler: unknown, inherit: boolean): void;
}

/** The user's callbacks, a list or a callback manager, and the handler; the user's own object stays as it was. */
export function withHandler(callbacks: unknown, handler: CacheSageHandler): unknown {
  if (Array.isArray(callbacks)) return callbacks.includes(handler) ? callbacks : [...callbacks, handler];
  if (!isManager(callbacks)) return [handler];
  if (callbacks.handlers.includes(handler)) return callbacks;
  const copy = callbacks.copy();
  copy.addHandler(handler, true);
  return copy;
}

function isManager(value: unknown): value is CallbackManagerLike {
  return isObject(value) && Array.isArray(value["handlers"]) && typeof value["addHandler"] === "function";
}
