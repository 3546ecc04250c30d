import { createParser } from "eventsource-parser";
import { carriesToken } from "./carries-token.ts";

/** A stream of which this many bytes came has begun, whatever is in them. */
const MAX_BEFORE_TOKEN = 65_536;

/** The body of an answer, read up to its first token. */
export interface Begun {
  readonly chunks: readonly Uint8Array[];
  /** What is left; undefined when all was read. */
  readonly rest: ReadableStreamDefaultReader<Uint8Array> | undefined;
}

/** Reads a stream of server-sent events until one of them carries a token. Rejects when it breaks before. */
export async function readFirstToken(body: ReadableStream<Uint8Array>): Promise<Begun> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const chunks: Uint8Array[] = [];
  const seen = { bytes: 0, hasBegun: false };
  const parser = createParser({
    onEvent: ({ data }) => {
      seen.hasBegun ||= data !== "[DONE]" && isToken(data);
    },
  });
  while (!seen.hasBegun && seen.bytes < MAX_BEFORE_TOKEN) {
    const { done, value } = await reader.read();
    if (done) return { chunks, rest: undefined };
    chunks.push(value);
    seen.bytes += value.length;
    parser.feed(decoder.decode(value, { stream: true }));
  }
  return { chunks, rest: reader };
}

/** What cannot be read is passed on like a token. */
function isToken(data: string): boolean {
  try {
    return carriesToken(JSON.parse(data));
  } catch {
    return true;
  }
}
