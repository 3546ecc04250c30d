import { AsyncResource } from "node:async_hooks";
import type { ManagerLike } from "./held-callbacks.ts";
import { isObject, type ConfigLike, type NodeLike } from "./shapes.ts";

/** What a node that runs early is given instead of a config of its own. */
export interface EarlyParts {
  /** Name of the node. */
  readonly name: string;
  /** Config of the node before it, its declaration and the node's own. */
  readonly config: ConfigLike;
  readonly before: NodeLike;
  readonly node: NodeLike;
  readonly input: unknown;
  readonly signal: AbortSignal;
  /** The last part of its checkpoint namespace, and its task. */
  readonly standIn: string;
  readonly manager: (metadata: Readonly<Record<string, unknown>>) => ManagerLike;
  /** The node asked for something that it can be given only when its turn has come. */
  readonly refuse: (what: string) => never;
  /** Does it when the node is wanted. */
  readonly later: (act: () => unknown) => void;
}

/**
 * The config for a node that runs early: what the caller gave is in it as it is; step, task and namespace are stand-ins; what
 * reaches into the graph is refused, and what it streams is kept back.
 */
export function earlyConfig(parts: EarlyParts): ConfigLike {
  const { name, config, before, node, signal, refuse, later } = parts;
  const namespace = namespaceOf(parts);
  const step = config.metadata?.["langgraph_step"];
  const metadata = {
    ...without(config.metadata, before.metadata),
    ...node.metadata,
    langgraph_node: name,
    ...(typeof step === "number" && { langgraph_step: step + 1 }),
    langgraph_triggers: [`branch:to:${name}`],
    langgraph_path: ["__pregel_pull", name],
    langgraph_checkpoint_ns: namespace,
    checkpoint_ns: namespace,
  };
  const { writer, tags, executionInfo } = config;
  return {
    ...config,
    metadata,
    ...(tags && { tags: [...tags.filter((tag) => !before.tags?.includes(tag)), ...(node.tags ?? [])] }),
    ...(typeof writer === "function" && {
      // It finds out where it writes to by the async context.
      writer: (chunk: unknown) => later(AsyncResource.bind(() => writer(chunk) as unknown)),
    }),
    ...(executionInfo && {
      executionInfo: { ...executionInfo, checkpointNs: namespace, taskId: parts.standIn },
    }),
    callbacks: parts.manager(metadata),
    configurable: { ...config.configurable, ...refusals(parts, refuse), checkpoint_ns: namespace },
    signal,
  };
}

function namespaceOf({ name, config, standIn }: EarlyParts): string {
  const around = String(config.configurable?.["checkpoint_ns"] ?? "")
    .split("|")
    .slice(0, -1);
  return [...around, `${name}:${standIn}`].join("|");
}

/** LangGraph's own doors out of a node. */
function refusals(
  { config, input, standIn }: EarlyParts,
  refuse: EarlyParts["refuse"],
): Readonly<Record<string, unknown>> {
  const checkpointer = config.configurable?.["__pregel_checkpointer"];
  return {
    __pregel_task_id: standIn,
    __pregel_send: () => refuse("writes to the graph"),
    __pregel_read: () => refuse("reads the graph"),
    __pregel_call: () => refuse("calls a task"),
    __pregel_stream: undefined,
    __pregel_checkpointer: isObject(checkpointer)
      ? new Proxy(checkpointer, { get: () => refuse("uses the checkpointer") })
      : checkpointer,
    __pregel_scratchpad: {
      callCounter: 0,
      interruptCounter: -1,
      subgraphCounter: 0,
      currentTaskInput: input,
      consumeNullResume: () => undefined,
      get resume() {
        return refuse("interrupts");
      },
    },
  };
}

function without(
  all: Readonly<Record<string, unknown>> | undefined,
  some: Readonly<Record<string, unknown>> | undefined,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(all ?? {}).filter(([key, value]) => some?.[key] !== value || value === undefined),
  );
}
