import type { AgentId, RunId, SessionId, Status } from "./event.ts";

/** Names a call that waits for its verdict. Holds nothing that a model or a user wrote. */
export interface CallRef {
  readonly kind: "request" | "tool-call" | "transition";
  /** Unique among the calls of a kind; of a model call, the `request` of its events. */
  readonly id: string;
  readonly agent: AgentId;
  readonly run: RunId;
}

/** What every waiting call is known by. It comes from LangGraph's config, never from a prompt. */
interface Call extends CallRef {
  readonly session?: SessionId;
  /** On whose behalf the run is: `tenant` in the `configurable` or `metadata` of the invocation. */
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

export type CallSubject = RequestSubject | ToolCallSubject | TransitionSubject;
export type CallKind = CallSubject["kind"];

/** How a call ended that had been let go on. */
export interface CallResult {
  readonly status: Status;
  /** What a tool returned. */
  readonly output?: unknown;
}
