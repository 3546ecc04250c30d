import type { AdmitVerdict, DenyVerdict } from "../runtime/action.ts";
import type { CallKind, CallRef, CallResult, CallSubject } from "../runtime/call.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Decoration, OutgoingCall, Route } from "../runtime/engine.ts";
import type { AgentId, Event, Identity } from "../runtime/event.ts";
import type { Decision } from "../runtime/gate.ts";

/** Where calls wait for verdicts, when a policy that gives any is switched on. */
export interface CallGate {
  /** Calls of other kinds go on as if there were no gate. */
  handles(kind: CallKind): boolean;
  failsClosed(kind: CallKind): boolean;
  /** At once when nothing holds the call. Rejects with the signal's reason when that aborts first, and never else. */
  ask(call: CallSubject, signal?: AbortSignal): Decision | Promise<Decision>;
  /** A human has answered what `policy` asked. */
  answer(call: CallSubject, policy: string, verdict: AdmitVerdict | DenyVerdict): void;
  /** A call that was let go on has ended; model calls end with their `request-end`. */
  leave(call: CallRef, result: CallResult): void;
}

/** What the framework side needs from the rest of cachesage. No method throws or blocks. */
export interface Host {
  readonly clock: Clock;
  /** Base URL of the engine; requests that go elsewhere are left alone. */
  readonly baseURL: string;
  readonly apiKey?: string;
  /** THE flag. False: observe only, request bytes unchanged. */
  readonly cacheHints: boolean;
  emit(event: Event): void;
  /** What to add to a request; undefined leaves its bytes alone. Only asked when `cacheHints` is true. */
  decorate(call: OutgoingCall): Decoration | undefined;
  /** Where a call goes, when the adapter stands for several servers. */
  route?(call: OutgoingCall): Route | undefined;
  /** Headers that answered a call. */
  answered?(call: OutgoingCall, headers: Headers): void;
  /** The JSON body of a request, by its id, as sent by the client, before decoration. Only told when `cacheHints` is true. */
  requestBody(identity: Identity, body: string, request?: string): void;
  /** The same of an agent whose prompts were made known before its first call. Only told when `cacheHints` is true. */
  introduction?(agent: AgentId, body: string): void;
  /** Text of a completed answer without tool calls. Only told when `cacheHints` is true. */
  answer(identity: Identity, text: string): void;
  /** The prompt of a call that callbacks see, right after its `request-start`; left out when nobody looks at texts. */
  prompt?(request: string, prompt: string | readonly unknown[], tools: unknown): void;
  /** Its answer, right before its `request-end`. `fromCache`: LangChain's own cache gave it, and no request left. */
  output?(request: string, output: unknown, fromCache: boolean): void;
  readonly gate?: CallGate;
  /** A policy may start nodes before they are known to be wanted. */
  readonly speculates?: boolean;
  /** Estimated tokens in this many characters of prompt. */
  tokens?(characters: number): number;
  /** Something of ours went wrong and was contained. */
  fault(where: string, error: unknown): void;
  /** One line for the user. */
  warn(message: string): void;
}
