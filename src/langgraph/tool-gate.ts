import { randomUUID } from "node:crypto";
import type { ToolCallSubject } from "../runtime/call.ts";
import type { Decision } from "../runtime/gate.ts";
import { askGate, askHuman, denialOf, leaveGate } from "./ask-gate.ts";
import { ambientConfig, configOf, configureRun } from "./config.ts";
import type { CallGate } from "./host.ts";
import { undisguise } from "./denied-response.ts";
import type { Observer } from "./observer.ts";
import { guard } from "./safe-host.ts";
import { settle } from "./settle.ts";
import { isObject, text } from "./shapes.ts";
import { identityOf } from "./span.ts";

/** Marks tools whose calls come to the gate already; shared by all copies of the package. */
const GATED = Symbol.for("cachesage.gated-tool");

export interface ToolOptions {
  /** Name of the tool; default: its own. */
  readonly name?: string;
}

/**
 * A tool, or a plain function that is one, whose calls ask the gate first; typed as it was. Of a function with more parameters
 * than its input and LangChain's config, policies see the list of all as its arguments.
 */
export type GatedTool = <T>(tool: T, options?: ToolOptions) => T;

type Invocable = { invoke(...parameters: readonly unknown[]): unknown };
type Callable = Invocable & { call(...parameters: readonly unknown[]): unknown };

/**
 * Wraps tools. The user's object stays as it was; calls of the wrapped one wait for their verdict. Without a policy that
 * rates tool calls the tool is handed back as it is.
 */
export function createGatedTool(observer: Observer): GatedTool {
  return (tool, options = {}) => {
    const { gate } = observer.host;
    if (!gate?.handles("tool-call") || isGated(tool)) return tool;
    if (typeof tool === "function" && !isInvocable(tool)) return gatedFunction(observer, gate, tool, options);
    if (isInvocable(tool)) return gatedInvoke(observer, gate, tool, options);
    return tool;
  };
}

/** Sends the calls of a ToolNode's tools through the gate: LangGraph's own, and that of langchain's agents. */
export function gateToolNode(node: object, gated: GatedTool): void {
  const { tools, runTool } = node as { tools?: unknown; runTool?: unknown };
  if (!Array.isArray(tools) || typeof runTool !== "function") return;
  (node as { tools: unknown }).tools = tools.map((tool: unknown) => gated(tool));
}

function gatedInvoke<T extends object & Invocable>(
  observer: Observer,
  gate: CallGate,
  tool: T,
  { name }: ToolOptions,
): T {
  const gated =
    (method: "invoke" | "call") =>
    async (input: unknown, config?: unknown, ...rest: unknown[]): Promise<unknown> => {
      const isCall = isObject(input) && input["type"] === "tool_call" && "args" in input;
      const about = {
        tool: name ?? text((tool as { name?: unknown }).name) ?? "tool",
        args: isCall ? input["args"] : input,
        form: isCall ? ("message" as const) : ("value" as const),
      };
      const make = () => (tool as unknown as Callable)[method](input, config, ...rest);
      const reuse = (output: unknown) => (isCall ? answerTo(output, input["id"]) : output);
      return throughGate(observer, gate, about, config, make, reuse);
    };
  const invoke = gated("invoke");
  const call = gated("call");
  const shared = runnableMethods(tool);
  const proxy: T = new Proxy(tool, {
    get(target, key) {
      if (key === "invoke") return invoke;
      if (key === GATED) return true;
      const value: unknown = Reflect.get(target, key, target);
      const isMethod = typeof value === "function" && key !== "constructor" && !Object.hasOwn(target, key);
      if (!isMethod) return value;
      // The way to call a tool from before there was `invoke`; on a function it is the language's own.
      if (key === "call" && typeof target === "object") return call;
      // `batch`, `stream` and others end in `invoke`, which has to be ours.
      if (shared && Object.hasOwn(shared, key) && Reflect.get(shared, key) === value)
        return value.bind(proxy) as unknown;
      // All other methods run on the target: on the proxy they could not reach its private fields.
      return value.bind(target) as unknown;
    },
  });
  return proxy;
}

/** What LangChain's Runnables have in common, which no private field is in. */
function runnableMethods(tool: object): object | undefined {
  let at: unknown = tool;
  while (isObject(at) && !Object.hasOwn(at, "pipe")) at = Object.getPrototypeOf(at);
  return isObject(at) && at !== tool ? at : undefined;
}

function gatedFunction<T extends object>(
  observer: Observer,
  gate: CallGate,
  tool: T,
  { name }: ToolOptions,
): T {
  const isAsync = Object.prototype.toString.call(tool) === "[object AsyncFunction]";
  const run = tool as unknown as { (...parameters: unknown[]): unknown; readonly name: string };
  return new Proxy(tool, {
    get: (target, key) => (key === GATED ? true : (Reflect.get(target, key, target) as unknown)),
    apply: (_target, self: unknown, parameters: unknown[]) => {
      const args = argumentsOf(parameters);
      const about = { tool: name ?? (run.name || "tool"), args, form: "value" as const };
      const call = () =>
        throughGate(observer, gate, about, parameters[1], () => Reflect.apply(run, self, parameters));
      // An async function rejects where another one throws.
      return isAsync ? (async () => call())() : call();
    },
  } as ProxyHandler<T>);
}

/** Of a tool as LangChain has it the first parameter; of any other function all of them. */
function argumentsOf(parameters: readonly unknown[]): unknown {
  const [first, second, ...rest] = parameters;
  const isOfOne = second === undefined || configOf(second) || signalOf(second);
  return isOfOne && rest.length === 0 ? first : parameters;
}

/** Makes the call, or answers it, as the gate says. */
function throughGate(
  observer: Observer,
  gate: CallGate,
  about: Pick<ToolCallSubject, "tool" | "args" | "form">,
  config: unknown,
  make: () => unknown,
  reuse = (output: unknown) => output,
): unknown {
  const { host, unattended } = observer;
  const around = configOf(config) ?? ambientConfig();
  const entered = guard(host, "tool", () => unattended.enter(around));
  const run = entered?.span.run;
  if (run) configureRun(run, around);
  const identity = entered && identityOf(entered.span);
  const call: ToolCallSubject = {
    kind: "tool-call",
    id: randomUUID(),
    agent: identity?.agent ?? "",
    run: run?.id ?? "",
    ...(run?.session !== undefined && { session: run.session }),
    ...(run?.context.tenant !== undefined && { tenant: run.context.tenant }),
    at: host.clock.now(),
    ...about,
  };
  const proceed = (decision: Decision): unknown => {
    const { verdict } = decision;
    switch (verdict.type) {
      case "reuse":
        return reuse(verdict.output);
      case "deny":
        throw denialOf(call, decision);
      case "ask":
        return askHuman(gate, call, { ...decision, verdict }, around).then(() => proceed(admitted));
      default:
        return settle(
          () => undisguise(make(), entered?.span),
          (status, output) => leaveGate(host, gate, call, { status, output }),
        );
    }
  };
  const admitted: Decision = { verdict: { type: "admit", call } };
  return settle(
    () => {
      const decision = askGate(host, gate, call, signalOf(config));
      return decision instanceof Promise ? decision.then(proceed) : proceed(decision);
    },
    (status) => {
      if (entered?.isOurs) entered.span.end(status);
    },
  );
}

/** An answer kept from another call, made that of this one: a message of its own, since graphs tell messages by their id. */
function answerTo(output: unknown, id: unknown): unknown {
  if (!isObject(output) || !("tool_call_id" in output)) return output;
  const { lc_kwargs: fields, constructor, content, artifact } = output;
  if (!isObject(fields)) return output;
  const { id: _id, ...kept } = fields;
  const own = { ...kept, content, ...(artifact !== undefined && { artifact }), tool_call_id: id };
  return Reflect.construct(constructor as new (fields: object) => object, [own]);
}

function signalOf(config: unknown): AbortSignal | undefined {
  const signal = isObject(config) ? config["signal"] : undefined;
  return signal instanceof AbortSignal ? signal : undefined;
}

function isGated(tool: unknown): boolean {
  return (
    ((typeof tool === "object" && tool !== null) || typeof tool === "function") &&
    (tool as { [GATED]?: unknown })[GATED] === true
  );
}

function isInvocable(tool: unknown): tool is object & Invocable {
  return (
    ((typeof tool === "object" && tool !== null) || typeof tool === "function") &&
    typeof (tool as { invoke?: unknown }).invoke === "function"
  );
}
