import { hash } from "node:crypto";
import type { PromptPart, PromptShape } from "../runtime/event.ts";
import { isObject } from "./shapes.ts";

/**
 * Messages in graph state stay the same objects from node to node, and bound tools from call to call, so each is
 * hashed once; one changed in place keeps its hash.
 */
const known = new WeakMap<object, PromptPart>();
/** The same of messages in pieces. */
const knownPieces = new WeakMap<object, readonly PromptPart[]>();
/** Characters of a piece: of a message that grows from call to call so many at most are taken for lost. */
const PIECE = 1024;
/** The latest anchor that begins with a part: an agent's system message and tools hardly ever change. */
const anchors = new WeakMap<
  PromptPart,
  { readonly parts: readonly PromptPart[]; readonly anchor: PromptPart }
>();
const NOTHING = part("");
const ROLES: Readonly<Record<string, string>> = { developer: "system", human: "user", ai: "assistant" };

/** Shape of a prompt given as LangChain messages, or as the messages of an OpenAI request; they agree. */
export function shapeOf(messages: readonly unknown[], tools: unknown): PromptShape {
  const first = messages.findIndex((message) => roleOf(message) !== "system");
  const head = first < 0 ? messages.length : first;
  const system = messages.slice(0, head).map((message) => partOf(message, messageText));
  const toolParts = Array.isArray(tools) ? tools.map((tool: unknown) => partOf(tool, JSON.stringify)) : [];
  return { anchor: anchorOf([...system, ...toolParts]), history: messages.slice(head).flatMap(piecesOf) };
}

/** Shape of the prompt of a completion model, which has no anchor. */
export function textShape(prompt: string): PromptShape {
  return { anchor: NOTHING, history: pieces(prompt) };
}

/** Shape of the prompt in a parsed request body of Chat Completions, Responses or Completions. */
export function bodyShape(body: Readonly<Record<string, unknown>>): PromptShape {
  const { messages, input, instructions, prompt, tools } = body;
  if (prompt !== undefined) return textShape([prompt].flat().map(String).join("\n"));
  const head = typeof instructions === "string" ? [{ role: "system", content: instructions }] : [];
  const rest = messages ?? (typeof input === "string" ? [{ role: "user", content: input }] : input);
  return shapeOf([...head, ...(Array.isArray(rest) ? rest : [])], tools);
}

export function isSamePrompt(a: PromptShape, b: PromptShape): boolean {
  return (
    a.anchor.hash === b.anchor.hash &&
    a.history.length === b.history.length &&
    a.history.every(({ hash: of }, index) => of === b.history[index]?.hash)
  );
}

function anchorOf(parts: readonly PromptPart[]): PromptPart {
  const [first = NOTHING] = parts;
  if (parts.length <= 1) return first;
  const latest = anchors.get(first);
  if (latest?.parts.length === parts.length && parts.every((one, i) => one === latest.parts[i]))
    return latest.anchor;
  const length = parts.reduce((sum, one) => sum + one.length, 0);
  const anchor = { hash: digest(parts.map((one) => one.hash).join("\n")), length };
  anchors.set(first, { parts, anchor });
  return anchor;
}

function partOf(piece: unknown, textOf: (piece: Readonly<Record<string, unknown>>) => string): PromptPart {
  if (!isObject(piece)) return part(String(piece));
  let found = known.get(piece);
  if (!found) known.set(piece, (found = part(textOf(piece))));
  return found;
}

function piecesOf(message: unknown): readonly PromptPart[] {
  if (!isObject(message)) return pieces(String(message));
  let found = knownPieces.get(message);
  if (!found) knownPieces.set(message, (found = pieces(messageText(message))));
  return found;
}

function pieces(text: string): readonly PromptPart[] {
  if (text.length <= PIECE) return [part(text)];
  const found: PromptPart[] = [];
  for (let at = 0; at < text.length; at += PIECE) {
    const piece = part(text.slice(at, at + PIECE));
    found.push(at === 0 ? piece : { ...piece, continues: true });
  }
  return found;
}

function messageText(message: Readonly<Record<string, unknown>>): string {
  const content = contentText(message["content"] ?? message["output"] ?? message["arguments"]);
  const id = message["tool_call_id"] ?? message["call_id"] ?? "";
  return [roleOf(message), String(id), content, ...callTexts(message["tool_calls"])].join("\n");
}

function roleOf(message: unknown): string {
  if (!isObject(message)) return "";
  const { type, role } = message;
  const name = typeof role === "string" ? role : typeof type === "string" ? type : "";
  return ROLES[name] ?? name;
}

/** A text sent as a string and the same text sent as blocks are one prompt to most chat templates. */
function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  if (content === undefined || content === null) return "";
  if (!Array.isArray(content)) return JSON.stringify(content);
  return content
    .map((block: unknown) =>
      isObject(block) && typeof block["text"] === "string" ? block["text"] : JSON.stringify(block),
    )
    .join("");
}

function callTexts(calls: unknown): readonly string[] {
  if (!Array.isArray(calls)) return [];
  return calls.filter(isObject).map(({ id, name, args, function: wire }) => {
    const { name: wireName, arguments: wireArguments } = isObject(wire) ? wire : {};
    return [id, name ?? wireName, args === undefined ? wireArguments : JSON.stringify(args)].join("\n");
  });
}

function part(content: string): PromptPart {
  return { hash: digest(content), length: content.length };
}

/** 80 bits: measured as fast as anything in node:crypto, and collisions cost a wrong prediction at worst. */
function digest(content: string): string {
  return hash("sha1", content, "hex").slice(0, 20);
}
