import { guard } from "./safe-host.ts";
import { ambientConfig, contextOf, sessionOf } from "./config.ts";
import { explicitAgent } from "./explicit-agent.ts";
import type { Host } from "./host.ts";
import { checkpointOf, namespacePath, stepOf } from "./identity.ts";
import { unwrapped, type NextAgents } from "./next-agents.ts";
import type { ModelCalls } from "./model-calls.ts";
import { planOf } from "./plan.ts";
import { agentNameOf, type ConfigLike, isCommand, isObject, text } from "./shapes.ts";
import { identityOf, isNode, nodeOf, type Node } from "./span.ts";
import { statusOf } from "./status.ts";
import type { Tracker } from "./tracker.ts";

type Fields = Readonly<Record<string, unknown>>;

const NODE_TAG = "graph:step:";
const HIDDEN_TAG = "langsmith:hidden";
/** Brand by which LangGraph finds the handlers that it tells of interrupts. */
const GRAPH_HANDLER = Symbol.for("langgraph.graph_callback_handler");

/**
 * The callback handler. Give it to `invoke`, to a compiled graph, or to a model.
 *
 * It is awaited and therefore synchronous: LangChain runs other handlers in a queue, in which a request may
 * have left long before they hear of it, and without the call's async context. It never throws and never does I/O.
 */
export class CacheSageHandler {
  readonly name: string;
  readonly awaitHandlers = true;
  readonly raiseError = false;
  readonly [GRAPH_HANDLER] = true;
  readonly #host: Host;
  readonly #tracker: Tracker;
  readonly #next: NextAgents;
  readonly #calls: ModelCalls;
  #around: ConfigLike | undefined;

  /** @param name LangChain takes handlers of one name for one handler in some places. */
  constructor(host: Host, tracker: Tracker, next: NextAgents, calls: ModelCalls, name = "cachesage") {
    this.name = name;
    this.#host = host;
    this.#tracker = tracker;
    this.#next = next;
    this.#calls = calls;
  }

  /** Number of spans and requests that have started and not ended; 0 when no run is open. */
  get pending(): number {
    return this.#tracker.size + this.#calls.size;
  }

  /**
   * False. LangChain reads this right before it tells of a model call, still in the call's async context; what it then calls, it
   * calls outside of it.
   */
  get ignoreLLM(): boolean {
    this.#around = guard(this.#host, "ignoreLLM", ambientConfig);
    return false;
  }

  /** LangChain tells handlers from other values by this method. */
  copy(): this {
    return this;
  }

  /** Arguments come in the order in which they are sent, which is not the order of their published type. */
  handleChainStart(
    chain: unknown,
    _inputs: unknown,
    id: string,
    parentId?: string,
    tags?: readonly string[],
    metadata?: Fields,
    _type?: string,
    name?: string,
  ): void {
    guard(this.#host, "handleChainStart", () => {
      const span = this.#tracker.start({
        id,
        parentId,
        name: name ?? "",
        session: sessionOf(metadata),
        context: parentId === undefined ? contextOf(metadata) : undefined,
        agentName: text(metadata?.["lc_agent_name"]),
        node: isNodeRun(tags) ? nodeFrom(chain, metadata) : undefined,
        kind: isGraph(chain) ? "graph" : isStateUpdate(chain) ? "state-update" : undefined,
      });
      // Tasks of the functional API have no node to instrument: their calls find them through this.
      if (isNode(span)) this.#tracker.scopes.enterWith({ span });
    });
  }

  handleChainEnd(outputs: unknown, id: string): void {
    guard(this.#host, "handleChainEnd", () => {
      const span = this.#tracker.find(id);
      if (!span) return;
      const output = unwrapped(outputs);
      if (isNode(span)) this.#next.ended(span, output);
      else if (isNode(span.parent)) this.#next.routed(span.parent, output);
      this.#tracker.end(span, "completed");
    });
  }

  handleChainError(error: unknown, id: string): void {
    guard(this.#host, "handleChainError", () => {
      const span = this.#tracker.find(id);
      if (!span) return;
      if (isNode(span) && isObject(error)) this.#next.handedOff(span, error["command"]);
      const status = statusOf(error);
      this.#tracker.end(span, status);
      if (!isNode(span) || span.parent?.id !== span.run.id) return;
      if (status === "interrupted") span.run.interrupted = true;
      if (status === "cancelled") this.#tracker.expectEnd(span.run);
    });
  }

  /** LangGraph 1.5 and later; also tells of interrupts before and after a node, which throw nothing. */
  handleInterrupt(event: { readonly runId?: string | undefined }): void {
    guard(this.#host, "handleInterrupt", () => {
      const run = this.#tracker.find(event.runId)?.run;
      if (run && run.id === event.runId) run.interrupted = true;
    });
  }

  handleToolStart(
    tool: unknown,
    _input: string,
    id: string,
    parentId?: string,
    _tags?: readonly string[],
    metadata?: Fields,
    name?: string,
    callId?: string,
  ): void {
    guard(this.#host, "handleToolStart", () => {
      const kind = isObject(tool) && Array.isArray(tool["id"]) ? text(tool["id"].at(-1)) : undefined;
      const toolName = name ?? (isObject(tool) ? text(tool["name"]) : undefined) ?? kind ?? "tool";
      const agentName = text(metadata?.["lc_agent_name"]);
      const span = this.#tracker.start({
        id,
        parentId,
        name: toolName,
        session: sessionOf(metadata),
        agentName,
        context: undefined,
        node: undefined,
        kind: undefined,
      });
      const identity = span && identityOf(span);
      if (span && identity) this.#tracker.startTool(span, { call: callId, tool: toolName, identity });
    });
  }

  handleToolEnd(output: unknown, id: string): void {
    guard(this.#host, "handleToolEnd", () => {
      const span = this.#tracker.find(id);
      if (!span) return;
      const commands = (Array.isArray(output) ? output : [output]).filter(isCommand);
      for (const command of commands) this.#next.handedOff(nodeOf(span), command);
      this.#tracker.end(span, "completed");
    });
  }

  handleToolError(error: unknown, id: string): void {
    guard(this.#host, "handleToolError", () => {
      const span = this.#tracker.find(id);
      if (span) this.#tracker.end(span, statusOf(error));
    });
  }

  handleChatModelStart(
    _model: unknown,
    messages: readonly (readonly unknown[])[],
    id: string,
    parentId?: string,
    extra?: Fields,
    _tags?: readonly string[],
    metadata?: Fields,
    name?: string,
  ): void {
    guard(this.#host, "handleChatModelStart", () => {
      const parameters = isObject(extra?.["invocation_params"]) ? extra["invocation_params"] : {};
      const around = this.#takeAround();
      this.#calls.start(
        { id, parentId, metadata, name, around, extra },
        messages[0] ?? [],
        parameters["tools"],
      );
    });
  }

  handleLLMStart(
    _model: unknown,
    prompts: readonly string[],
    id: string,
    parentId?: string,
    extra?: Fields,
    _tags?: readonly string[],
    metadata?: Fields,
    name?: string,
  ): void {
    guard(this.#host, "handleLLMStart", () => {
      const around = this.#takeAround();
      this.#calls.start({ id, parentId, metadata, name, around, extra }, prompts[0] ?? "");
    });
  }

  handleLLMNewToken(
    token: string,
    _index: unknown,
    id: string,
    _parentId?: string,
    _tags?: readonly string[],
    fields?: unknown,
  ): void {
    guard(this.#host, "handleLLMNewToken", () => this.#calls.token(id, token, fields));
  }

  handleChatModelStreamEvent(event: unknown, id: string): void {
    guard(this.#host, "handleChatModelStreamEvent", () => this.#calls.streamEvent(id, event));
  }

  handleLLMEnd(
    output: unknown,
    id: string,
    _parentId?: string,
    _tags?: readonly string[],
    extra?: Fields,
  ): void {
    guard(this.#host, "handleLLMEnd", () => this.#calls.end(id, output, extra?.["cached"] === true));
  }

  handleLLMError(error: unknown, id: string): void {
    guard(this.#host, "handleLLMError", () => this.#calls.fail(id, statusOf(error)));
  }

  /** The config around a model call. */
  #takeAround(): ConfigLike | undefined {
    const around = this.#around;
    // It holds the state of a graph, which nobody is to keep.
    this.#around = undefined;
    return around;
  }
}

function isNodeRun(tags: readonly string[] = []): boolean {
  return tags.some((tag) => tag.startsWith(NODE_TAG)) && !tags.includes(HIDDEN_TAG);
}

function isGraph(chain: unknown): boolean {
  const id: unknown = isObject(chain) ? chain["id"] : undefined;
  return Array.isArray(id) && id[0] === "langgraph" && id[1] === "pregel";
}

/** `updateState` runs a node's writers as a chain of its own: conditional edges among them, but nothing of the graph. */
function isStateUpdate(chain: unknown): boolean {
  const kwargs = isObject(chain) && isObject(chain["kwargs"]) ? chain["kwargs"] : {};
  return isObject(kwargs["first"]) && text(kwargs["first"]["name"])?.startsWith("ChannelWrite<") === true;
}

function nodeFrom(chain: unknown, metadata: Fields = {}): Node {
  const kwargs = isObject(chain) && isObject(chain["kwargs"]) ? chain["kwargs"] : {};
  const body = kwargs["first"];
  const plan = planOf(body);
  const checkpoint = checkpointOf(metadata);
  return {
    checkpoint,
    path: namespacePath(checkpoint),
    step: stepOf(metadata),
    plan,
    agent: plan ? plan.agent : (explicitAgent(body) ?? agentNameOf(body)),
    next: new Set(),
    returned: false,
  };
}
