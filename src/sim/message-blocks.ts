import { z } from "zod";
import type { TraceError } from "../errors.ts";
import { checkpointOf, metadataAgent, namespacePath } from "../runtime/agent-name.ts";
import type { AgentId, RunId, SessionId } from "../runtime/event.ts";
import type { TraceSource } from "./trace-format.ts";
import { BlockIds, type RecordedCall, type RecordedRun, type Workload } from "./workload.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** A prompt as text; `anchor`, its leading system messages and tools, is how `text` begins. */
export interface PromptText {
  readonly anchor: string;
  readonly text: string;
}

/** A prompt as the ids of its blocks; `characters` counts the partial last block too. */
export interface PromptBlocks extends Pick<RecordedCall, "blocks" | "anchorBlocks"> {
  readonly characters: number;
}

/** Where in an application a call was made, as far as LangGraph's metadata tell. */
export interface Place extends Pick<RecordedCall, "step" | "namespace"> {
  readonly agent?: AgentId;
  readonly session?: SessionId;
}

/** One recorded piece of work of any kind. Times are milliseconds since 1970. */
export interface Span {
  readonly id: string;
  readonly parent?: string | null | undefined;
  readonly run: RunId;
  readonly name: string;
  readonly start: number;
  /** Agent of this span and of those inside of it that name none. */
  readonly agent?: AgentId | undefined;
  readonly session?: SessionId | undefined;
}

/** What a span has on top that is a model call. Tokens left out are estimated at four characters each. */
export interface ModelCall extends Pick<Place, "step" | "namespace"> {
  readonly end?: number | undefined;
  /** Or the complaint about it, which is raised unless the call is a mere echo. */
  readonly prompt: PromptBlocks | TraceError;
  readonly answer: Answer;
  readonly promptTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
}

export interface Answer {
  readonly characters: number;
  readonly callsTools: boolean;
}

interface Message {
  readonly role: string;
  readonly text: string;
  readonly callsTools: boolean;
}

const BLOCK_CHARACTERS = 64;
const CHARACTERS_PER_TOKEN = 4;
const ROLES: Readonly<Record<string, string>> = { human: "user", ai: "assistant", developer: "system" };
const CALL_PARTS: readonly unknown[] = ["tool_call", "tool_use", "function_call"];

/** Milliseconds since 1970, from themselves or from a date as ISO 8601 or a database has it; UTC unless it names a zone. */
export const time = z.union([z.number(), z.string()]).transform((value, context) => {
  const hasZone = /(z|[+-]\d\d:?\d\d)$/i.test(String(value));
  const at = typeof value === "number" ? value : Date.parse(hasZone ? value : `${value.replace(" ", "T")}Z`);
  if (Number.isNaN(at)) context.addIssue({ code: "custom", message: `not a time: ${JSON.stringify(value)}` });
  return at;
});

/** Narrows to a JSON object. */
export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a JSON text holds; a text that is not JSON, and anything else, as it is. */
export function fromJson(value: unknown): unknown {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** The first thing that is wrong with a record. */
export function firstIssue({ issues: [issue] }: z.ZodError): string {
  return `${issue?.path.join(".") || "record"}: ${issue?.message}`;
}

/** Agent, session, superstep and namespace from the metadata that LangGraph gives every call. */
export function placeOf(metadata: Fields): Place {
  const { thread_id: thread, langgraph_step: step } = metadata;
  const agent = metadataAgent(metadata);
  const checkpoint = checkpointOf(metadata);
  return {
    ...(agent !== undefined && { agent }),
    ...((typeof thread === "string" || typeof thread === "number") && { session: String(thread) }),
    ...(/^\d+$/.test(String(step)) && { step: Number(step) }),
    ...(typeof checkpoint === "string" && { namespace: namespacePath(checkpoint).join("|") }),
  };
}

/**
 * Text of a prompt: of plain text, of messages as LangChain, OpenAI, Anthropic and OpenTelemetry record them, or of an
 * object with these and tools. Different prompts have different texts, which part where the prompts do; how a content is
 * cut into parts makes no difference, nor do ids and names that most chat templates leave out.
 *
 * @returns undefined for anything else.
 */
export function promptText(recorded: unknown, tools?: unknown): PromptText | undefined {
  if (typeof recorded === "string") return promptText([{ role: "user", content: recorded }], tools);
  if (isObject(recorded) && !("role" in recorded)) {
    const { messages, prompts, prompt, input, instructions } = recorded;
    const head = typeof instructions === "string" ? [{ role: "system", content: instructions }] : [];
    const inner = messages ?? prompts ?? prompt ?? input;
    const rest = typeof inner === "string" ? [{ role: "user", content: inner }] : inner;
    return Array.isArray(rest) ? promptText([...head, ...rest], recorded["tools"] ?? tools) : undefined;
  }
  const list = [recorded].flat();
  if (list.length === 1 && (Array.isArray(list[0]) || typeof list[0] === "string"))
    return promptText(list[0], tools);
  const messages = list.map(readMessage).filter((message) => message !== undefined);
  if (messages.length === 0 || messages.length < list.length) return undefined;
  const first = messages.findIndex(({ role }) => role !== "system");
  const head = first < 0 ? messages.length : first;
  const framedTools = (Array.isArray(tools) ? tools : []).map((tool) =>
    framed("tools", escaped(jsonOf(tool))),
  );
  const framedMessages = messages.map(({ role, text }) => framed(role, text));
  const anchor = [...framedMessages.slice(0, head), ...framedTools].join("");
  return { anchor, text: anchor + framedMessages.slice(head).join("") };
}

/** Reads an answer: text, messages in the forms that a prompt may have, or an object with these; empty for anything else. */
export function answerOf(recorded: unknown): Answer {
  const { generations, choices, messages: listed, message, output } = isObject(recorded) ? recorded : {};
  const messages = [generations ?? choices ?? listed ?? message ?? output ?? recorded]
    .flat(2)
    .map((one: unknown) => {
      const inner = isObject(one) ? (one["message"] ?? one["text"] ?? one) : one;
      return readMessage(isObject(inner) ? inner : { role: "", content: inner });
    });
  return {
    characters: messages.reduce((sum, one) => sum + (one?.text.length ?? 0), 0),
    callsTools: messages.some((one) => one?.callsTools),
  };
}

function readMessage(recorded: unknown): Message | undefined {
  if (!isObject(recorded)) return undefined;
  const { id, kwargs, data } = recorded;
  const isSerialized = isObject(kwargs) && Array.isArray(id);
  const message: Fields = isSerialized ? kwargs : isObject(data) ? data : recorded;
  const type = isSerialized
    ? String(id.at(-1)).replace(/Message(Chunk)?$/, "")
    : (recorded["type"] ?? message["type"]);
  const role = [message["role"], type].find((one) => typeof one === "string")?.toLowerCase();
  const content = message["content"] ?? message["parts"] ?? message["output"];
  const calls = callsOf(message, content);
  if (role === undefined || (content === undefined && message["content"] === undefined && calls.length === 0))
    return undefined;
  const text = escaped(contentText(content)) + calls.map((call) => framed("call", call)).join("");
  return { role: ROLES[role] ?? role, text, callsTools: calls.length > 0 };
}

/** Name and arguments of the tools that a message calls; LangChain and Anthropic hold them twice. */
function callsOf(message: Fields, content: unknown): readonly string[] {
  const more = isObject(message["additional_kwargs"])
    ? message["additional_kwargs"]["tool_calls"]
    : undefined;
  const listed = [message["tool_calls"], more].find((calls) => Array.isArray(calls) && calls.length > 0);
  const parts: readonly unknown[] = Array.isArray(content) ? content : [message];
  const calls = (Array.isArray(listed) ? listed : parts.filter(isCallPart)).filter(isObject);
  return calls.map((call) => {
    const { name, args, arguments: text, input } = isObject(call["function"]) ? call["function"] : call;
    return `${escaped(jsonOf(name))}${framed("arguments", escaped(jsonOf(args ?? text ?? input)))}`;
  });
}

function isCallPart(part: unknown): boolean {
  return isObject(part) && CALL_PARTS.includes(part["type"]);
}

/** Characters for private use frame the parts of a prompt; in the text itself they are escaped. */
function framed(role: string, text: string): string {
  return `\ue000${escaped(role)}\ue001${text}\ue002`;
}

function escaped(text: string): string {
  return text.replace(/[\ue000-\ue003]/g, "\ue003$&");
}

/** A text sent as a string and the same text sent in parts are one prompt to most chat templates. */
function contentText(content: unknown): string {
  if (!Array.isArray(content)) return jsonOf(content);
  const parts = content.filter((part) => !isCallPart(part));
  return parts.map((part) => (isObject(part) ? partText(part) : jsonOf(part))).join("");
}

function partText(part: Fields): string {
  const inner = part["text"] ?? part["content"] ?? part["response"] ?? part["result"];
  return inner === undefined ? jsonOf(part) : contentText(inner);
}

/** Text as it is, nothing as no text, anything else as JSON. */
function jsonOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Collects the spans of a file, in any order, and makes runs of their model calls. */
export class MessageTrace {
  readonly #source: TraceSource;
  readonly #ids = new BlockIds();
  readonly #spans = new Map<string, Span>();
  readonly #calls = new Map<string, ModelCall>();

  constructor(source: TraceSource) {
    this.#source = source;
  }

  /** Blocks of 64 characters: an id commits to all text up to its end, and a partial last block is left out. */
  blocks({ anchor, text }: PromptText): PromptBlocks {
    const blocks = new Int32Array(Math.floor(text.length / BLOCK_CHARACTERS));
    let before = -1;
    for (let i = 0; i < blocks.length; i++) {
      const own = text.slice(i * BLOCK_CHARACTERS, (i + 1) * BLOCK_CHARACTERS);
      blocks[i] = before = this.#ids.id(`${before} ${own}`);
    }
    return { blocks, anchorBlocks: Math.floor(anchor.length / BLOCK_CHARACTERS), characters: text.length };
  }

  /** @throws TraceError when the file has the span already. */
  add(line: number, span: Span, call?: ModelCall): void {
    const key = keyOf(span.run, span.id);
    if (this.#spans.has(key))
      throw this.#source.fail(line, `${span.id} is in the file twice`, "Keep one record of each id.");
    this.#spans.set(key, span);
    if (call) this.#calls.set(key, call);
  }

  /**
   * All runs with a model call. A call inside of another is the same request as another observer saw it: the outer counts.
   *
   * @throws TraceError when there is no call, or one without a readable prompt.
   */
  workload(): Workload {
    const starts = new Map<RunId, number>();
    const sessions = new Map<RunId, SessionId>();
    for (const { run, start, session } of this.#spans.values()) {
      starts.set(run, Math.min(start, starts.get(run) ?? start));
      if (session !== undefined && !sessions.has(run)) sessions.set(run, session);
    }
    const calls = new Map<RunId, (RecordedCall & { readonly startMs: number })[]>();
    for (const [key, call] of this.#calls) {
      const span = this.#spans.get(key) as Span;
      const recorded = this.#recorded(span, call, starts.get(span.run) ?? span.start);
      if (!recorded) continue;
      const own = calls.get(span.run);
      if (own) own.push(recorded);
      else calls.set(span.run, [recorded]);
    }
    const ids = [...calls.keys()].toSorted((a, b) => (starts.get(a) ?? 0) - (starts.get(b) ?? 0));
    const [first] = ids;
    if (first === undefined)
      throw this.#source.fail(
        0,
        `no model call in ${this.#spans.size} records`,
        "Export the model calls as well.",
      );
    const runs = ids.map((id): RecordedRun => {
      const session = sessions.get(id);
      const startMs = microseconds((starts.get(id) ?? 0) - (starts.get(first) ?? 0));
      const own = (calls.get(id) ?? []).toSorted((a, b) => a.startMs - b.startMs);
      return { id, ...(session !== undefined && { session }), startMs, calls: own };
    });
    const blockTokens = BLOCK_CHARACTERS / CHARACTERS_PER_TOKEN;
    return { name: this.#source.name, blockTokens, blockCount: this.#ids.count, runs };
  }

  #recorded(span: Span, call: ModelCall, runStart: number) {
    const outer = this.#outer(span);
    if (outer.some(({ run, id }) => this.#calls.has(keyOf(run, id)))) return undefined;
    const { prompt, answer, end, step, namespace } = call;
    if (prompt instanceof Error) throw prompt;
    const named = [span, ...outer].find(({ agent }) => agent !== undefined);
    return {
      agent: named?.agent ?? outer.at(-1)?.name ?? span.name,
      blocks: prompt.blocks,
      anchorBlocks: prompt.anchorBlocks,
      promptTokens: call.promptTokens ?? Math.ceil(prompt.characters / CHARACTERS_PER_TOKEN),
      outputTokens: call.outputTokens ?? Math.ceil(answer.characters / CHARACTERS_PER_TOKEN),
      startMs: microseconds(span.start - runStart),
      ...(end !== undefined && { durationMs: microseconds(end - span.start) }),
      callsTools: answer.callsTools,
      ...(step !== undefined && { step }),
      ...(namespace !== undefined && { namespace }),
    };
  }

  /** What a span is inside of, innermost first. */
  #outer(span: Span): readonly Span[] {
    const outer = new Set<Span>();
    let next: Span | undefined = span;
    while (next) {
      next = next.parent ? this.#spans.get(keyOf(next.run, next.parent)) : undefined;
      // A broken export may have spans in a ring.
      if (next === span || (next && outer.has(next))) break;
      if (next) outer.add(next);
    }
    return [...outer];
  }
}

function keyOf(run: RunId, id: string): string {
  return `${run} ${id}`;
}

/** Milliseconds to a thousandth: below that, differences of dates are noise. */
function microseconds(difference: number): number {
  return Math.round(difference * 1000) / 1000;
}
