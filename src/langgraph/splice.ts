import { isObject } from "./shapes.ts";

/** Letters that are frequent in prose and code, the most frequent last; anything else is rarer than these. */
const BY_FREQUENCY = "qzxjkvbpywgfmucdlhrsnioate";
/** V8 finds a text of up to this length with memchr for its first character; longer ones take ten times as long. */
const SHORT = 6;

/**
 * Adds fields to a JSON object given as text, at its end, without parsing it. Fields that it has already win. The
 * text is only parsed when one of the names occurs in it as a key or a text of its own; a name that JSON has to escape
 * counts as taken then. Undefined when there is nothing to add.
 */
export function splice(body: string, fields: Readonly<Record<string, unknown>>): string | undefined {
  const end = body.lastIndexOf("}");
  if (end < 0 || !/^\s*\{/.test(body) || body.slice(end + 1).trim() !== "") return undefined;
  let parsed: unknown;
  const isTaken = (name: string, key: string) => {
    if (!body.includes(rarePart(key)) || !body.includes(key)) return false;
    // V8 14 may read an escaped key as another one (`"\\""` as `\\`, after an object with such a key): be careful.
    if (key.includes("\\")) return true;
    parsed ??= JSON.parse(body);
    return isObject(parsed) && Object.hasOwn(parsed, name);
  };
  let added = "";
  for (const [name, value] of Object.entries(fields)) {
    const json = JSON.stringify(value) as string | undefined;
    const key = JSON.stringify(name);
    if (json !== undefined && !isTaken(name, key)) added += `,${key}:${json}`;
  }
  if (added === "") return undefined;
  const isEmpty = /^\s*\{\s*\}/.test(body);
  return body.slice(0, end) + (isEmpty ? added.slice(1) : added) + body.slice(end);
}

/** A short part of a quoted key that begins with its rarest character: what a body lacks, it lacks as well. */
function rarePart(key: string): string {
  let start = 1;
  let lowest = Number.POSITIVE_INFINITY;
  for (let at = 1; at < key.length - 1; at++) {
    const frequency = BY_FREQUENCY.indexOf(key.charAt(at));
    if (frequency < lowest) [start, lowest] = [at, frequency];
  }
  return key.slice(start, start + SHORT);
}
