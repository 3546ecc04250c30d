import type { Identity, PromptShape, Status } from "../runtime/event.ts";
import { ambientConfig } from "./config.ts";
import type { Host } from "./host.ts";
import { checkpointOf, isFrameworkNode, namespacePath, stepOf } from "./identity.ts";
import { bodyShape, isSamePrompt, shapeOf, textShape } from "./prompt.ts";
import { Request } from "./request.ts";
import type { Run } from "./run.ts";
import { type ConfigLike, isObject, text } from "./shapes.ts";
import { activationOf, type CallScope, identityAt, identityOf, nodeOf, type Span } from "./span.ts";
import type { Tracker } from "./tracker.ts";
import type { Unattended } from "./unattended.ts";
import { answerOf, asksForTools, usageOf } from "./usage.ts";

/** Calls whose stream a consumer left half-way, in a run whose end nobody sees, are dropped beyond this many. */
const MAX_OPEN = 4096;

/** Where a callback says that a model call happens. */
interface CallStart {
  readonly id: string;
  readonly parentId: string | undefined;
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
  readonly name: string | undefined;
  /** The config around it; there is none where it streams. */
  readonly around: ConfigLike | undefined;
  /** LangChain's extra fields: the options with which it was called are among them. */
  readonly extra: Readonly<Record<string, unknown>> | undefined;
}

/** Model calls that callbacks see. */
export class ModelCalls {
  readonly #host: Host;
  readonly #tracker: Tracker;
  readonly #unattended: Unattended;
  readonly #open = new Map<string, Required<Pick<CallScope, "span" | "request">>>();

  constructor(host: Host, tracker: Tracker, unattended: Unattended) {
    this.#host = host;
    this.#tracker = tracker;
    this.#unattended = unattended;
  }

  get size(): number {
    return this.#open.size;
  }

  start(call: CallStart, prompt: string | readonly unknown[], tools?: unknown): void {
    // What runs early is told of when it is known to be wanted.
    if (this.#open.has(call.id) || this.#tracker.scopes.getStore()?.span.early) return;
    const place = this.#place(call);
    if (!place) return;
    const { span, identity, isOurs } = place;
    const shape = typeof prompt === "string" ? textShape(prompt) : shapeOf(prompt, tools);
    this.#begin(call.id, span, identity, shape, isOurs);
    this.#host.prompt?.(call.id, prompt, tools);
  }

  token(id: string, token: string, fields: unknown): void {
    const chunk = isObject(fields) && isObject(fields["chunk"]) ? fields["chunk"]["message"] : undefined;
    const calls = isObject(chunk) ? chunk["tool_call_chunks"] : undefined;
    // A stream opens with an empty chunk that names the role; it is not a token.
    if (token !== "" || (Array.isArray(calls) && calls.length > 0)) this.#open.get(id)?.request.token();
  }

  streamEvent(id: string, event: unknown): void {
    if (isObject(event) && event["event"] === "content-block-delta") this.#open.get(id)?.request.token();
  }

  /** `fromCache`: LangChain's own response cache answered and no request left. */
  end(id: string, output: unknown, fromCache: boolean): void {
    const request = this.#open.get(id)?.request;
    if (!request) return;
    this.#host.output?.(id, output, fromCache);
    request.end("completed", fromCache ? undefined : usageOf(output), asksForTools(output));
    const answer = this.#host.cacheHints ? answerOf(output) : undefined;
    if (answer !== undefined) this.#host.answer(request.identity, answer);
  }

  fail(id: string, status: Status): void {
    this.#open.get(id)?.request.end(status);
  }

  /** Where a call that is on its way out belongs, with its request, if a callback saw it. */
  scopeOf(body: string): CallScope | undefined {
    const scope = this.#tracker.scopes.getStore();
    if (scope?.request || scope?.span.early || this.#open.size === 0) return scope;
    return this.#seenElsewhere(scope?.span.run ?? this.#unattended.find(ambientConfig()), body) ?? scope;
  }

  /**
   * LangChain's cache of answers tells of a call in an async context of its own, which is gone when no answer was found and the call
   * is made. It is known by its run and its prompt.
   */
  #seenElsewhere(run: Run | undefined, body: string): CallScope | undefined {
    const open = [...this.#open.values()].filter(({ span }) => span.run === run);
    const unsent = open.filter(({ request }) => request.sent === undefined);
    if (unsent.length > 0) {
      const parsed: unknown = JSON.parse(body);
      const prompt = bodyShape(isObject(parsed) ? parsed : {});
      const found = unsent.find(({ request }) => isSamePrompt(request.prompt, prompt));
      if (found) return found;
    }
    // A client tries it again.
    return open.find(({ request }) => request.sent === body);
  }

  #begin(id: string, span: Span, identity: Identity, prompt: PromptShape, isOurs: boolean): void {
    if (this.#open.size >= MAX_OPEN) this.#open.values().next().value?.request.end("cancelled");
    const request = new Request(this.#host, { id, identity, run: span.run, prompt }, () => {
      this.#open.delete(id);
      if (isOurs) span.end("completed");
    });
    const scope = { span, request };
    this.#open.set(id, scope);
    // Refines the node's scope for this one call; LangChain awaits us in the call's own async context.
    this.#tracker.scopes.enterWith(scope);
  }

  /** The span and identity of a call; when no graph is seen, the call is an activation of its own. */
  #place(call: CallStart): { span: Span; identity: Identity; isOurs: boolean } | undefined {
    const { parentId, metadata, name, extra } = call;
    const around = this.#tracker.around(parentId);
    if (around === null) return undefined;
    if (around && !this.#isInUnseenGraph(call, around)) {
      if (!activationOf(around) && !isInGraph(metadata)) this.#activateRoot(around, metadata);
      const identity = identityOf(around);
      return identity && { span: around, identity: refined(identity, around, metadata), isOurs: false };
    }
    const { writer } = isObject(extra?.["options"]) ? extra["options"] : {};
    const config = {
      ...call.around,
      ...(writer !== undefined && { writer }),
      ...(metadata && { metadata }),
      callbacks: undefined,
    };
    const entered = this.#unattended.enter(config, isInGraph(metadata) ? undefined : name);
    const identity = entered && identityOf(entered.span);
    return identity && { span: entered.span, identity, isOurs: entered.isOurs };
  }

  /** Whether the call is in a node of a graph that no handler sees, and that the node of this span calls. */
  #isInUnseenGraph({ parentId, metadata }: CallStart, around: Span): boolean {
    if (this.#tracker.find(parentId) || around.early) return false;
    const outer = nodeOf(around)?.node.path;
    const path = namespacePath(checkpointOf(metadata));
    // A ready-made agent that a node calls is that node's agent.
    return outer !== undefined && path.length > outer.length && !isFrameworkNode(path.at(-1) ?? "");
  }

  /** A chain of LangChain's, outside of any graph, is an agent by its name. */
  #activateRoot(span: Span, metadata: CallStart["metadata"]): void {
    let root = span;
    while (root.parent) root = root.parent;
    const agent = text(metadata?.["lc_agent_name"]) ?? root.name;
    if (agent !== "") this.#tracker.activate(root, agent, []);
  }
}

function isInGraph(metadata: CallStart["metadata"]): boolean {
  return metadata?.["langgraph_node"] !== undefined;
}

/** The identity with the place that the call's own metadata names, where that is another than its node's. */
function refined(identity: Identity, span: Span, metadata: CallStart["metadata"]): Identity {
  const checkpoint = checkpointOf(metadata);
  if (checkpoint === nodeOf(span)?.node.checkpoint) return identity;
  const path = namespacePath(checkpoint);
  if (path.length === 0) return identity;
  return identityAt(identity.agent, span.run, path, stepOf(metadata) ?? identity.step);
}
