import type { PrefixRef } from "../runtime/action.ts";
import type { Event, RunId, SessionId } from "../runtime/event.ts";

/** Which session each open run belongs to: a prefetch has to go where the session's own requests go. */
export class Sessions {
  readonly #sessions = new Map<RunId, SessionId>();

  observe(event: Event): void {
    if (event.type === "run-end") this.#sessions.delete(event.run);
    else if (event.type === "run-start" && event.session !== undefined)
      this.#sessions.set(event.run, event.session);
  }

  /** The thread's id, or the run's own when it has no thread; undefined for an anchor, which is nobody's alone. */
  of({ run }: Pick<PrefixRef, "run">): SessionId | undefined {
    return run === undefined ? undefined : (this.#sessions.get(run) ?? run);
  }
}

/** Names the session to a router before the engine, and to an engine that keeps sessions apart; others ignore it. */
export function sessionHeader(session: SessionId | undefined): Readonly<Record<string, string>> {
  return session === undefined ? {} : { "x-session-id": session };
}
