import { channel } from "node:diagnostics_channel";
import type { Advice, Outcome } from "../runtime/action.ts";
import type { Event } from "../runtime/event.ts";
import type { LedgerEntry } from "../runtime/ledger.ts";
import type { Telemetry } from "../runtime/telemetry.ts";

/** What is published on each channel; `engine` tells connections apart. */
export interface ChannelMessages {
  readonly "cachesage:event": { readonly engine: string; readonly event: Event };
  readonly "cachesage:decision": { readonly engine: string; readonly entry: LedgerEntry };
  readonly "cachesage:outcome": {
    readonly engine: string;
    readonly hint: Advice;
    readonly outcome: Outcome;
    readonly policy: string | undefined;
  };
  readonly "cachesage:decided": { readonly engine: string; readonly microseconds: number };
  readonly "cachesage:fault": { readonly engine: string; readonly where: string; readonly error: unknown };
}

/** Publishes all that happens on channels of node:diagnostics_channel. Ids, counts and hashes; never the text of a prompt. */
export function channels(): Telemetry {
  return {
    name: "channels",
    attach: ({ engine }) => ({
      event: (event) => publish("cachesage:event", () => ({ engine, event })),
      decision: (entry) => publish("cachesage:decision", () => ({ engine, entry })),
      outcome: (hint, outcome, policy) =>
        publish("cachesage:outcome", () => ({ engine, hint, outcome, policy })),
      decided: (microseconds) => publish("cachesage:decided", () => ({ engine, microseconds })),
      fault: (where, error) => publish("cachesage:fault", () => ({ engine, where, error })),
    }),
  };
}

/** Makes a message only where somebody listens. */
function publish<Name extends keyof ChannelMessages>(name: Name, message: () => ChannelMessages[Name]): void {
  const own = channel(name);
  if (own.hasSubscribers) own.publish(message());
}
