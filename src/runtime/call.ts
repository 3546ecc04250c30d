import type { AgentId, RunId, SessionId, Status } from "./event.ts";

/** Names a call that waits for its verdict. Holds nothing that a model or a user wrote. */
export interface CallRef {
  readonly kind: "request" | "late-request" | "tool-call" | "transition";
  /** Unique among the calls of a kind; of a model call, late or not, the `request` of its events. */
  readonly id: string;
  readonly agent: AgentId;
  readonly run: RunId;
}

/** What every waiting call is known by. It comes from LangGraph's config, never from a prompt. */
interface Call extends CallRef {
  readonly session?: SessionId;
  /** On whose behalf the run is: `tenant` in the `configurable` or `metadata` of the invocation, a text or a number. */
  readonly tenant?: string;
  /** Clock time at which it came to the gate. */
  readonly at: number;
}

/** A model call that is about to leave. */
export interface RequestSubject extends Call {
  readonly kind: "request";
  /** Hash of its system message and tools. */
  readonly anchor: string;
  /** Estimated tokens of these. */
  readonly anchorTokens: number;
  /** Estimated prompt tokens. */
  readonly tokens: number;
  /** `priority` likewise, in [0, 1]; higher goes first. */
  readonly priority?: number;
  /** Clock time by which an answer is worth something: start of its run plus `deadline_ms` likewise. */
  readonly deadline?: number;
  /** Whether its answer comes token by token; absent: not known. */
  readonly streams?: boolean;
}

/**
 * A model call under way of which no token has come by the time that a policy's `patience` named. It comes to the gate a
 * second time, which decides whether it is made a second time: `route` makes it at that server as well, and who answers first
 * stands; `admit`, which is what it gets without a verdict, leaves it as it is.
 */
export interface LateRequestSubject extends Call {
  readonly kind: "late-request";
  /** Base URL of the server that has it. */
  readonly worker: string;
  /** Whether its answer comes token by token; absent: not known. */
  readonly streams?: boolean;
}

/** A tool that is about to run. */
export interface ToolCallSubject extends Call {
  readonly kind: "tool-call";
  readonly tool: string;
  /** Arguments as the model, or the node, gave them. */
  readonly args: unknown;
  /** Whether the answer is a ToolMessage or the tool's own value: one cannot stand for the other. */
  readonly form: "message" | "value";
}

/** An agent that is about to start. `agent` is the one that starts. */
export interface TransitionSubject extends Call {
  readonly kind: "transition";
  /** Agents of the superstep before, in the same graph; empty at its start. */
  readonly from: readonly AgentId[];
}

/** A call that waits for verdicts. */
export type CallSubject = RequestSubject | LateRequestSubject | ToolCallSubject | TransitionSubject;
export type CallKind = CallSubject["kind"];

/** How a call ended that had been let go on. */
export interface CallResult {
  readonly status: Status;
  /** What a tool returned. */
  readonly output?: unknown;
  /** What came of the verdict, in one sentence for the ledger. */
  readonly reason?: string;
}
