import { createHash } from "node:crypto";
import type { PrefixRef } from "../runtime/action.ts";
import type { Event, RunId, SessionId } from "../runtime/event.ts";
import { Newest } from "../runtime/newest.ts";

/** Open runs remembered; the end of some is never seen. */
const MAX_RUNS = 10_000;

/** Which session each open run belongs to: a prefetch has to go where the session's own requests go. */
export class Sessions {
  readonly #sessions = new Newest<RunId, SessionId>(MAX_RUNS);

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
  return session === undefined ? {} : { "x-session-id": inHeader(session) };
}

/** Bytes of a name that every server and router takes, Dynamo's being the strictest. */
const MAX_LENGTH = 256;

/** A session as a header can hold it: threads may be called anything, so that what is not plain text, or long, goes by its hash. */
export function inHeader(session: SessionId): string {
  if (session.length <= MAX_LENGTH && /^(?! )[\x20-\x7e]+(?<! )$/.test(session)) return session;
  return createHash("sha256").update(session).digest("hex");
}
