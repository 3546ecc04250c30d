import { isObject } from "./shapes.ts";

/**
 * Adds fields to a JSON object given as text, at its end, without parsing it. Fields that it has already win. The
 * text is only parsed when one of the names occurs in it, be it in a message or a tool's schema. Undefined when there
 * is nothing to add.
 */
export function splice(body: string, fields: Readonly<Record<string, unknown>>): string | undefined {
  const end = body.lastIndexOf("}");
  if (!body.trimStart().startsWith("{") || end < 0 || body.slice(end + 1).trim() !== "") return undefined;
  let parsed: unknown;
  const isTaken = (name: string) => {
    const key = JSON.stringify(name);
    // Searching for the bare name first is faster: a body is full of quotes.
    if (!body.includes(key.slice(1, -1)) || !body.includes(key)) return false;
    parsed ??= JSON.parse(body);
    return isObject(parsed) && Object.hasOwn(parsed, name);
  };
  const added = Object.entries(fields).flatMap(([name, value]) => {
    const json = JSON.stringify(value) as string | undefined;
    return json === undefined || isTaken(name) ? [] : `${JSON.stringify(name)}:${json}`;
  });
  if (added.length === 0) return undefined;
  const isEmpty = body.slice(body.indexOf("{") + 1, end).trim() === "";
  return `${body.slice(0, end)}${isEmpty ? "" : ","}${added.join(",")}${body.slice(end)}`;
}
