import { isObject } from "./shapes.ts";

/** A request body, taken apart where prompts are. */
export interface ParsedBody {
  readonly body: Readonly<Record<string, unknown>>;
  /** Leading system messages, as text. */
  readonly system: string;
  /** Each tool as JSON. */
  readonly tools: readonly string[];
  /** The other messages, each as JSON. */
  readonly messages: readonly string[];
}

/** Where the prompts of one agent part, and which part of them is at fault. */
export interface Difference {
  readonly cause: "system" | "tools" | "messages";
  readonly words: string;
  /** Nothing but the end of the system message is another one, and no tools come after it. */
  readonly isEnd?: boolean;
}

/** What both system messages end with counts as nothing below this, some block of an engine, and below what they begin with. */
const END_CHARACTERS = 64;

/** Takes a body of Chat Completions or Messages apart; undefined for any other. */
export function parseBody(raw: string): ParsedBody | undefined {
  const body: unknown = JSON.parse(raw);
  if (!isObject(body) || !Array.isArray(body["messages"])) return undefined;
  const all: readonly unknown[] = body["messages"];
  const first = all.findIndex((message) => !isSystem(message));
  const head = first < 0 ? all.length : first;
  const heads = all.slice(0, head).map((message) => (isObject(message) ? message["content"] : undefined));
  const tools = Array.isArray(body["tools"]) ? (body["tools"] as readonly unknown[]) : [];
  return {
    body,
    system: [body["system"], ...heads]
      .filter((content) => content !== undefined)
      .map((content) => (typeof content === "string" ? content : JSON.stringify(content)))
      .join("\n"),
    tools: tools.map((tool) => JSON.stringify(tool)),
    messages: all.slice(head).map((message) => JSON.stringify(message)),
  };
}

/** The first difference of what is the same in all prompts of an agent, in the order in which it is rendered. */
export function compareAnchors(before: ParsedBody, now: ParsedBody): Difference | undefined {
  if (before.system !== now.system) {
    const at = firstDifference(before.system, now.system);
    const isEnd =
      now.tools.length === 0 && alikeAtEnd(before.system, now.system, at) < Math.min(END_CHARACTERS, at);
    return {
      cause: "system",
      isEnd,
      words:
        `its system message changes at character ${at} of ${now.system.length}: is there a clock or an id in it? ` +
        `Move what changes ${isEnd ? "into the latest message" : "to the end"}`,
    };
  }
  const tool = now.tools.findIndex((text, index) => text !== before.tools[index]);
  if (tool < 0 && before.tools.length === now.tools.length) return undefined;
  const isReordered = before.tools.toSorted().join() === now.tools.toSorted().join();
  const what = isReordered ? "come in another order" : "change";
  const remedy = isReordered ? ": sort them by name" : "";
  const at = tool < 0 ? now.tools.length : tool;
  return { cause: "tools", words: `its tools ${what} from tool ${at + 1} on${remedy}` };
}

/** The difference in a history of which this message is another one. */
export function changedMessage(before: ParsedBody, now: ParsedBody, message: number): Difference {
  const at = firstDifference(before.messages[message] ?? "", now.messages[message] ?? "");
  return {
    cause: "messages",
    words:
      `message ${message + 1} of ${before.messages.length} of its history is another one in its next prompt, from character ` +
      `${at} on (trimmed or summarised history, or stripped thinking)`,
  };
}

function isSystem(message: unknown): boolean {
  const role = isObject(message) ? message["role"] : undefined;
  return role === "system" || role === "developer";
}

function firstDifference(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

/** Characters with which both end, after the first `from`. */
function alikeAtEnd(a: string, b: string, from: number): number {
  const most = Math.min(a.length, b.length) - from;
  let count = 0;
  while (count < most && a.at(-1 - count) === b.at(-1 - count)) count++;
  return count;
}
