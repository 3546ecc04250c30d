/** A JSON object. */
export type Fields = Readonly<Record<string, unknown>>;

/** A prompt as text; `anchor`, its leading system messages and tools, is how `text` begins. */
export interface PromptText {
  readonly anchor: string;
  readonly text: string;
}

/** A prompt as the ids of its blocks; `characters` counts the partial last block too. */
export interface PromptBlockIds {
  readonly blocks: readonly number[];
  /** Blocks at the prompt's start that are system message and tools. */
  readonly anchorBlocks: number;
  readonly characters: number;
}

/** What an answer says about itself. */
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
/**
 * Characters that a token is taken for where nobody counted: English text and JSON in BPE vocabularies
 * (https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them).
 */
export const CHARACTERS_PER_TOKEN = 4;
const ROLES: Readonly<Record<string, string>> = { human: "user", ai: "assistant", developer: "system" };
const CALL_PARTS: readonly unknown[] = ["tool_call", "tool_use", "function_call"];

/** Tokens of a block of `promptBlocks`. */
export const BLOCK_TOKENS = BLOCK_CHARACTERS / CHARACTERS_PER_TOKEN;

/** Tokens that a text of so many characters is taken for when nobody counted. */
export function estimatedTokens(characters: number): number {
  return Math.ceil(characters / CHARACTERS_PER_TOKEN);
}

/** Narrows to a JSON object. */
export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
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

/**
 * Blocks of 64 characters; a partial last block is left out.
 *
 * @param id names a block by the one before it (-1: none) and its own text, so that an id commits to all text up to its end.
 */
export function promptBlocks(
  { anchor, text }: PromptText,
  id: (before: number, own: string) => number,
): PromptBlockIds {
  const blocks: number[] = [];
  for (let end = BLOCK_CHARACTERS; end <= text.length; end += BLOCK_CHARACTERS)
    blocks.push(id(blocks.at(-1) ?? -1, text.slice(end - BLOCK_CHARACTERS, end)));
  return { blocks, anchorBlocks: Math.floor(anchor.length / BLOCK_CHARACTERS), characters: text.length };
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
