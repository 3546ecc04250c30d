import { createParser } from "eventsource-parser";
import type { Usage } from "../runtime/event.ts";
import { carriesToken } from "./carries-token.ts";
import type { Request } from "./request.ts";
import { isObject } from "./shapes.ts";
import { statusOf } from "./status.ts";
import { wireUsage } from "./usage.ts";

/** Answers longer than this many characters are passed on without looking for usage in them. */
const MAX_ANSWER = 4_000_000;
/** After these events of Responses and of Anthropic's Messages nothing follows; of Chat Completions it is `[DONE]`. */
const LAST: ReadonlySet<unknown> = new Set(["response.completed", "response.incomplete", "message_stop"]);

/** Reads along in an answer. */
interface Reader {
  read(text: string): void;
  usage(): Usage | undefined;
  /** The answer is whole; consumers need not read what the server may send after it. */
  isWhole(): boolean;
}

/**
 * The same response, ending `request` when its body ends. The body is read when the consumer reads it and never
 * before, so back-pressure, cancellation and errors are those of the original.
 */
export function watch(response: Response, request: Request): Response {
  if (!response.ok) {
    if (response.status < 500 && ![408, 409, 429].includes(response.status)) request.end("failed");
    return response;
  }
  if (!response.body) {
    request.end("completed");
    return response;
  }
  const isStream = response.headers.get("content-type")?.includes("text/event-stream") === true;
  const body = readAlong(response.body, isStream ? streamReader(request) : jsonReader(), request);
  const { status, statusText, headers, url } = response;
  const watched = new Response(body, { status, statusText, headers });
  return Object.defineProperty(watched, "url", { value: url });
}

function readAlong(
  body: ReadableStream<Uint8Array>,
  along: Reader,
  request: Request,
): ReadableStream<Uint8Array> {
  const source = body.getReader();
  const decoder = new TextDecoder();
  const look = (bytes?: Uint8Array) => {
    try {
      along.read(decoder.decode(bytes, { stream: bytes !== undefined }));
    } catch {
      // Not the answer of an engine we know; the consumer gets it all the same.
    }
  };
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await source.read();
          look(value);
          if (!done) return controller.enqueue(value);
          request.end("completed", along.usage());
          controller.close();
        } catch (error) {
          request.end(statusOf(error));
          controller.error(error);
        }
      },
      cancel(reason) {
        request.end(along.isWhole() ? "completed" : "cancelled", along.usage());
        return source.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

function jsonReader(): Reader {
  let text = "";
  return {
    read: (more) => {
      if (text.length < MAX_ANSWER) text += more;
    },
    isWhole: () => false,
    usage: () => {
      try {
        const answer: unknown = JSON.parse(text);
        return isObject(answer) ? wireUsage(answer["usage"]) : undefined;
      } catch {
        return undefined;
      }
    },
  };
}

function streamReader(request: Request): Reader {
  let usage: Usage | undefined;
  let hasToken = false;
  let isWhole = false;
  const parser = createParser({
    onEvent: ({ event: name, data }) => {
      if (data === "[DONE]" || LAST.has(name)) isWhole = true;
      if (data === "[DONE]" || (hasToken && !data.includes('"usage"'))) return;
      const event: unknown = JSON.parse(data);
      if (!isObject(event)) return;
      if (LAST.has(event["type"])) isWhole = true;
      if (!hasToken && carriesToken(event)) {
        hasToken = true;
        request.token();
      }
      const final = isObject(event["response"]) ? event["response"] : event;
      if (isObject(final["usage"])) usage = wireUsage(final["usage"]);
    },
  });
  return { read: (text) => parser.feed(text), usage: () => usage, isWhole: () => isWhole };
}
