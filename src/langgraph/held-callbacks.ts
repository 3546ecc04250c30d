import { isObject } from "./shapes.ts";

type Method = (...parameters: readonly unknown[]) => unknown;

/** The part of LangChain's CallbackManager that is used here; its run managers have `getChild` only. */
export interface ManagerLike {
  handlers: object[];
  inheritableHandlers: object[];
  readonly tags: readonly string[];
  readonly inheritableTags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly inheritableMetadata: Readonly<Record<string, unknown>>;
  getParentRunId(): string | undefined;
  copy(more?: readonly object[], inherit?: boolean): ManagerLike;
  addHandler(handler: object, inherit?: boolean): void;
  addTags(tags: readonly string[], inherit?: boolean): void;
  addMetadata(metadata: Readonly<Record<string, unknown>>, inherit?: boolean): void;
}

/** A handler that a Runnable inside of the node brings along. */
interface LocalHandler {
  readonly handler: object;
  readonly inherit: boolean;
  /** LangChain adds one of this name only where there is none yet. */
  readonly isByName: boolean;
}

/** A callback as a handler gets it. */
export interface HeldCallback {
  readonly method: string;
  readonly parameters: readonly unknown[];
  readonly locals: readonly LocalHandler[];
}

/** Takes callbacks instead of the handlers; what it returns is waited for. */
type Take = (callback: HeldCallback) => unknown;

/** Where the parent's id, the tags and the metadata stand in the parameters of the callbacks that start something. */
const STARTS: Readonly<Record<string, { readonly tags: number; readonly metadata: number }>> = {
  handleLLMStart: { tags: 5, metadata: 6 },
  handleChatModelStart: { tags: 5, metadata: 6 },
  handleChainStart: { tags: 4, metadata: 5 },
  handleToolStart: { tags: 4, metadata: 5 },
  handleRetrieverStart: { tags: 4, metadata: 5 },
};
const PARENT = 3;
/** The others, with the place of the run's id. */
const OTHERS: Readonly<Record<string, number>> = {
  handleLLMNewToken: 2,
  handleChatModelStreamEvent: 1,
  handleLLMEnd: 1,
  handleLLMError: 1,
  handleChainEnd: 1,
  handleChainError: 1,
  handleAgentAction: 1,
  handleAgentEnd: 1,
  handleToolEnd: 1,
  handleToolEvent: 1,
  handleToolError: 1,
  handleRetrieverEnd: 1,
  handleRetrieverError: 1,
  handleText: 1,
  handleCustomEvent: 2,
};
/** By these fields a handler makes a model stream. */
const PREFERENCES = ["lc_prefer_streaming", "lc_prefer_chat_model_stream_events"];
/** These look into the streams of a node while it runs, which cannot be made up for later. */
const LIVE_ONLY = new Set(["event_stream_tracer", "log_stream_tracer"]);

/** Recognises a callback manager whose handlers can be told later. */
export function isHoldable(callbacks: unknown): callbacks is ManagerLike {
  return (
    isObject(callbacks) &&
    Array.isArray(callbacks["handlers"]) &&
    typeof callbacks["copy"] === "function" &&
    callbacks["handlers"].every(
      (handler: unknown) => isObject(handler) && !LIVE_ONLY.has(String(handler["name"])),
    )
  );
}

/**
 * A manager like `real` for a node that is not known to be wanted: `take` gets every callback, and no handler does, neither
 * the inherited ones nor those that a model or tool brings along.
 *
 * @param parentId stands for the id of the node's run, which nobody knows yet.
 */
export function heldManager(
  real: ManagerLike,
  parentId: string,
  metadata: Readonly<Record<string, unknown>>,
  take: Take,
): ManagerLike {
  const Manager = real.constructor as new (parentId: string) => ManagerLike;
  const manager = new Manager(parentId);
  manager.addTags(real.inheritableTags);
  manager.addMetadata({ ...real.inheritableMetadata, ...metadata });
  const preferences = Object.fromEntries(
    PREFERENCES.map((name) => [name, real.handlers.some((handler) => Reflect.get(handler, name) === true)]),
  );
  return withRecorder(manager, new Recorder(take, preferences, []));
}

/** Stands for all handlers. */
class Recorder {
  readonly name = "cachesage_early";
  readonly awaitHandlers = true;
  readonly locals: readonly LocalHandler[];
  readonly #take: Take;
  readonly #preferences: Readonly<Record<string, boolean>>;

  constructor(take: Take, preferences: Readonly<Record<string, boolean>>, locals: readonly LocalHandler[]) {
    this.locals = locals;
    this.#take = take;
    this.#preferences = preferences;
    for (const method of [...Object.keys(STARTS), ...Object.keys(OTHERS)])
      Reflect.set(this, method, (...parameters: readonly unknown[]) =>
        take({ method, parameters: asTheyAre(method, parameters), locals }),
      );
    Object.assign(this, preferences);
  }

  with(more: readonly LocalHandler[]): Recorder {
    const known = new Set(this.locals.map(({ handler }) => handler));
    const added = more.filter(({ handler }) => handler !== this && !known.has(handler));
    return added.length === 0
      ? this
      : new Recorder(this.#take, this.#preferences, [...this.locals, ...added]);
  }

  /** The one for what runs inside. */
  get inherited(): Recorder {
    const passedOn = this.locals.filter(({ inherit }) => inherit);
    return passedOn.length === this.locals.length
      ? this
      : new Recorder(this.#take, this.#preferences, passedOn);
  }

  copy(): this {
    return this;
  }
}

/** A node may go on with the list of messages that it gave to a model. */
function asTheyAre(method: string, parameters: readonly unknown[]): readonly unknown[] {
  const [model, prompts, ...rest] = parameters;
  if (method !== "handleChatModelStart" || !Array.isArray(prompts)) return parameters;
  return [model, prompts.map((prompt: unknown) => (Array.isArray(prompt) ? [...prompt] : prompt)), ...rest];
}

/** Lets `recorder` stand for whatever is added to the manager, to its copies and to the managers of the runs that it starts. */
function withRecorder(manager: ManagerLike, recorder: Recorder): ManagerLike {
  const copy = manager.copy.bind(manager);
  const set = (current: Recorder) => {
    manager.handlers = [current];
    manager.inheritableHandlers = [current.inherited];
  };
  let current = recorder;
  set(current);
  manager.addHandler = (handler, inherit = true) => {
    current = current.with([{ handler, inherit, isByName: true }]);
    set(current);
  };
  manager.copy = (more = [], inherit = true) =>
    withRecorder(copy(), current.with(more.map((handler) => ({ handler, inherit, isByName: false }))));
  for (const start of Object.keys(STARTS)) {
    const original = Reflect.get(manager, start) as Method | undefined;
    if (!original) continue;
    Reflect.set(manager, start, async (...parameters: readonly unknown[]) => {
      const started: unknown = await Reflect.apply(original, manager, parameters);
      for (const run of Array.isArray(started) ? started : [started])
        withHeldChildren(run, current.inherited);
      return started;
    });
  }
  return manager;
}

function withHeldChildren(run: unknown, recorder: Recorder): void {
  if (!isObject(run) || typeof run["getChild"] !== "function") return;
  const getChild = (run["getChild"] as Method).bind(run);
  run["getChild"] = (tag?: unknown) => withRecorder(getChild(tag) as ManagerLike, recorder);
}

/** Whether a callback tells that a node of a nested graph starts. */
export function startsNestedNode({ method, parameters }: HeldCallback): boolean {
  if (method !== "handleChainStart") return false;
  const tags = parameters[4];
  return Array.isArray(tags) && tags.some((tag) => String(tag).startsWith("graph:step:"));
}

/** Id of the model call that a callback starts; undefined for all others. */
export function startedCall({ method, parameters }: HeldCallback): string | undefined {
  if (method !== "handleChatModelStart" && method !== "handleLLMStart") return undefined;
  return typeof parameters[2] === "string" ? parameters[2] : undefined;
}

/** Tells the real handlers, through the manager of the node's own run, what was held back. */
export class Telling {
  readonly #real: ManagerLike;
  readonly #held: ManagerLike;
  readonly #attempt: object | undefined;
  readonly #runs = new Map<unknown, object>();

  /**
   * @param held the manager that the node was given instead.
   * @param attempt ids of the node's real attempt, which model calls tell of.
   */
  constructor(real: ManagerLike, held: ManagerLike, attempt: object | undefined) {
    this.#real = real;
    this.#held = held;
    this.#attempt = attempt;
  }

  async tell(callback: HeldCallback): Promise<void> {
    const { method, parameters } = callback;
    if (method in STARTS) return this.#start(callback);
    const id = parameters[OTHERS[method] ?? 1];
    const run = this.#runs.get(id);
    if (run) await call(run, method, parameters);
    // A custom event of the node itself, whose run is the real one's.
    else if (method === "handleCustomEvent")
      await call(this.#real, method, [parameters[0], parameters[1], this.#real.getParentRunId()]);
  }

  async #start({ method, parameters, locals }: HeldCallback): Promise<void> {
    const parent = this.#runs.get(parameters[PARENT]);
    const manager = (parent ? ((await call(parent, "getChild", [])) as ManagerLike) : this.#real).copy();
    for (const { handler, inherit, isByName } of locals)
      if (!isKnown(manager, handler, isByName)) manager.addHandler(handler, inherit);
    const places = STARTS[method] as (typeof STARTS)[string];
    const tags = parameters[places.tags];
    if (Array.isArray(tags))
      manager.addTags(tags.filter((tag) => !this.#held.tags.includes(tag as string)) as string[], false);
    manager.addMetadata(this.#own(parameters[places.metadata]), false);
    const started: unknown = await call(manager, method, this.#parameters(method, parameters));
    const run: unknown = Array.isArray(started) ? started[0] : started;
    if (isObject(run)) this.#runs.set(parameters[2], run);
  }

  #parameters(method: string, parameters: readonly unknown[]): readonly unknown[] {
    const given = [...startParameters(method, parameters)];
    const extra = given[4];
    if (!isObject(extra) || !isObject(extra["options"]) || !("executionInfo" in extra["options"]))
      return given;
    given[4] = { ...extra, options: { ...extra["options"], executionInfo: this.#attempt } };
    return given;
  }

  /** What a run has of metadata besides that of its node. */
  #own(metadata: unknown): Readonly<Record<string, unknown>> {
    if (!isObject(metadata)) return {};
    return Object.fromEntries(
      Object.entries(metadata).filter(([key, value]) => this.#held.metadata[key] !== value),
    );
  }
}

function isKnown({ handlers }: ManagerLike, handler: object, isByName: boolean): boolean {
  if (handlers.includes(handler)) return true;
  const name: unknown = Reflect.get(handler, "name");
  return isByName && handlers.some((known) => Reflect.get(known, "name") === name);
}

/** Managers take the parameters of handlers, without what they know themselves; those of chains in another order. */
function startParameters(method: string, parameters: readonly unknown[]): readonly unknown[] {
  if (method === "handleChainStart") {
    const [chain, inputs, id, , , , type, name, extra] = parameters;
    return [chain, inputs, id, type, undefined, undefined, name, undefined, extra];
  }
  const { tags, metadata } = STARTS[method] as (typeof STARTS)[string];
  const unknown = [PARENT, tags, metadata];
  return parameters.map((value, place) => (unknown.includes(place) ? undefined : value));
}

async function call(target: object, method: string, parameters: readonly unknown[]): Promise<unknown> {
  const known: unknown = Reflect.get(target, method);
  return typeof known === "function" ? Reflect.apply(known as Method, target, parameters) : undefined;
}
