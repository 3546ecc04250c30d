/*
 * LangGraph's objects as far as cachesage reads them. They are recognised by their brands and not by class: an
 * application may hold an ESM and a CommonJS copy of the packages, and none of them may be needed to load this one.
 */

/** Value of a node or conditional edge that starts `node` with its own arguments. */
export interface SendLike {
  readonly node: string;
}

/** Value that says where to go next, in this graph or in the parent graph. */
export interface CommandLike {
  readonly goto?: unknown;
  readonly graph?: unknown;
}

/** The part of LangChain's RunnableConfig that tells where a call happens. */
export interface ConfigLike {
  readonly callbacks?: unknown;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly configurable?: Readonly<Record<string, unknown>>;
  readonly signal?: unknown;
  readonly tags?: readonly string[];
  readonly writer?: unknown;
  /** Ids of the attempt. */
  readonly executionInfo?: Readonly<Record<string, unknown>> | undefined;
}

/** A node of a compiled graph. */
export interface NodeLike {
  bound: object;
  subgraphs?: readonly unknown[] | undefined;
  readonly ends?: readonly string[] | undefined;
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
  readonly tags?: readonly string[] | undefined;
}

/** What a state graph declared before it was compiled. */
export interface BuilderLike {
  readonly edges: Iterable<readonly [string, string]>;
  readonly waitingEdges?: Iterable<readonly [readonly string[], string]>;
  readonly branches: Readonly<Record<string, Readonly<Record<string, BranchLike>>>>;
  readonly nodes: Readonly<Record<string, DeclaredNode>>;
}

/** What was declared with a node. */
export interface DeclaredNode {
  readonly ends?: readonly string[] | undefined;
  /** It waits until nothing else is left to run. */
  readonly defer?: boolean | undefined;
}

/** A conditional edge; without `ends` it may go anywhere. */
export interface BranchLike {
  readonly ends?: Readonly<Record<string, string>> | undefined;
}

/** A compiled graph. */
export interface PregelLike {
  readonly lg_is_pregel: true;
  readonly nodes: Readonly<Record<string, NodeLike>>;
  readonly builder?: BuilderLike;
  readonly name?: string;
  config?: ConfigLike;
}

/** Narrows to anything with properties. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Recognises a compiled graph that runs in this process. */
export function isPregel(value: unknown): value is PregelLike {
  return isObject(value) && value["lg_is_pregel"] === true && isObject(value["nodes"]);
}

/** Recognises a Command. */
export function isCommand(value: unknown): value is CommandLike {
  return isObject(value) && value["lg_name"] === "Command";
}

/** Recognises a Send. */
export function isSend(value: unknown): value is SendLike {
  return isObject(value) && value["lg_name"] === "Send" && typeof value["node"] === "string";
}

/** The name that langchain's createAgent gave a graph. */
export function agentNameOf(graph: unknown): string | undefined {
  const metadata = isPregel(graph) ? graph.config?.metadata : undefined;
  return text(metadata?.["lc_agent_name"]);
}

/** A non-empty string, or undefined. */
export function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
