/** Agent id: `lc_agent_name`, else the checkpoint namespace path without ids and framework nodes. */
export type AgentId = string;
/** One invocation of a graph: the root run id. */
export type RunId = string;
/** LangGraph `thread_id`; several runs may share one. */
export type SessionId = string;

/** Where in the application something happened: the coordinate that framework and engine share. */
export interface Identity {
  readonly agent: AgentId;
  readonly run: RunId;
  readonly session?: SessionId;
  /** LangGraph superstep, counted from 0 inside its own (sub)graph; tasks of the functional API have none. */
  readonly step?: number;
  /** Checkpoint namespace path without ids, e.g. `publish|writer`; empty at the root. */
  readonly namespace: string;
}

/** One piece of a prompt, seen as identity and size only. A message is one, or several where it is long: the next prompt may go on with it. */
export interface PromptPart {
  /** Stable within a process; equal text gives an equal hash. */
  readonly hash: string;
  /** Characters. */
  readonly length: number;
  /** It is of the same message as the piece before. */
  readonly continues?: true;
}

/** A prompt split where sharing ends: the anchor is the same for every run of an agent, the history is not. */
export interface PromptShape {
  /** System message(s) at the head, and tools. */
  readonly anchor: PromptPart;
  /** The remaining messages, in order, in pieces. */
  readonly history: readonly PromptPart[];
}

/** Tokens of one request as the engine reports them; absent means not reported, which is not 0. */
export interface Usage {
  readonly promptTokens?: number;
  readonly outputTokens?: number;
  readonly cachedTokens?: number;
  /** Of the prompt, written to the cache: told by engines that bill it. */
  readonly writtenTokens?: number;
}

/** How it became known which agents run next; `app`: it said so beforehand, by `announce`. */
export type NextSource = "router" | "command" | "handoff" | "edge" | "app";

/** A declared edge; `weight` is 1 / out-degree for branches that may go several ways. */
export interface DeclaredEdge {
  readonly from: AgentId;
  readonly to: AgentId;
  readonly weight: number;
}

/** Agent ids that stand for "before the first" and "after the last" agent of a run. */
export const START = "__start__";
export const END = "__end__";

/** How a run, an activation, a model call or a tool ended. */
export type Status = "completed" | "failed" | "interrupted" | "cancelled";

interface At {
  /** Milliseconds on the runtime's clock. */
  readonly at: number;
}

/** A graph became known, with what it declares: the prior of what follows what. */
export interface TopologyEvent extends At {
  readonly type: "topology";
  readonly graph: string;
  readonly agents: readonly AgentId[];
  readonly edges: readonly DeclaredEdge[];
  /** Agents whose nodes are declared free of side effects; absent: none. */
  readonly free?: readonly AgentId[];
}
/** What an agent's prompts will begin with became known before its first call. */
export interface AnchorEvent extends At {
  readonly type: "anchor";
  readonly agent: AgentId;
  readonly anchor: PromptPart;
}
/** An invocation of a graph begins; without a session it belongs to no thread. */
export interface RunStartEvent extends At {
  readonly type: "run-start";
  readonly run: RunId;
  readonly session?: SessionId;
  readonly graph?: string;
  /** Nobody sees it end: the event of its end comes late, or never. */
  readonly endIsUnseen?: true;
}
/** An invocation is over; one that was interrupted goes on with the next run of its session. */
export interface RunEndEvent extends At {
  readonly type: "run-end";
  readonly run: RunId;
  readonly session?: SessionId;
  readonly status: Status;
}
/** `activation` tells parallel activations of one agent apart; a retry is a new activation. */
export interface AgentStartEvent extends At, Identity {
  readonly type: "agent-start";
  readonly activation: string;
}
/** The activation of the same id is over. */
export interface AgentEndEvent extends At, Identity {
  readonly type: "agent-end";
  readonly activation: string;
  readonly status: Status;
}
/** Exact knowledge of the next superstep's agents; END when the (sub)graph finishes here. */
export interface NextAgentsEvent extends At {
  readonly type: "next-agents";
  readonly run: RunId;
  readonly from: AgentId;
  readonly agents: readonly AgentId[];
  readonly source: NextSource;
}
/** A model call leaves; `request` is its id, also in the two events after it. */
export interface RequestStartEvent extends At, Identity {
  readonly type: "request-start";
  readonly request: string;
  readonly prompt: PromptShape;
}
/** The first token of its answer has come; not told of calls whose answer is not streamed. */
export interface RequestFirstTokenEvent extends At, Identity {
  readonly type: "request-first-token";
  readonly request: string;
}
/** Its answer is complete, or will never be. */
export interface RequestEndEvent extends At, Identity {
  readonly type: "request-end";
  readonly request: string;
  readonly status: Status;
  readonly usage?: Usage;
  /** The answer asks for tools; absent: not known. */
  readonly callsTools?: boolean;
}
/** A tool begins to run; `call` is the model's id of this call, or another one where that is under way already. */
export interface ToolStartEvent extends At, Identity {
  readonly type: "tool-start";
  readonly call: string;
  readonly tool: string;
}
/** That run of the tool is over. */
export interface ToolEndEvent extends At, Identity {
  readonly type: "tool-end";
  readonly call: string;
  readonly tool: string;
  readonly status: Status;
}

/** Everything cachesage observes. Names are noun-verb. */
export type Event =
  | TopologyEvent
  | AnchorEvent
  | RunStartEvent
  | RunEndEvent
  | AgentStartEvent
  | AgentEndEvent
  | NextAgentsEvent
  | RequestStartEvent
  | RequestFirstTokenEvent
  | RequestEndEvent
  | ToolStartEvent
  | ToolEndEvent;
