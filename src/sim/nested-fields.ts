import { isObject } from "../runtime/prompt-text.ts";

/**
 * Names with dots as objects in objects, and names that count from 0 as lists: `{ "a.0.b": 1 }` is `{ a: [{ b: 1 }] }`. A value
 * that has others below its name stays, unless it is null; objects are joined.
 */
export function nested(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(nested);
  if (!isObject(value)) return value;
  const whole = new Map<string, unknown>();
  const below = new Map<string, [name: string, own: unknown][]>();
  for (const [name, own] of Object.entries(value)) {
    const dot = name.indexOf(".");
    if (dot < 0) {
      whole.set(name, own);
      continue;
    }
    const head = name.slice(0, dot);
    const others = below.get(head);
    const one: [string, unknown] = [name.slice(dot + 1), own];
    if (others) others.push(one);
    else below.set(head, [one]);
  }
  for (const [head, others] of below) {
    const own = whole.get(head) ?? {};
    if (isObject(own)) whole.set(head, { ...own, ...Object.fromEntries(others) });
  }
  // Object.fromEntries, unlike assignment, makes plain fields of names such as __proto__, and puts numbers in order.
  const fields = Object.fromEntries([...whole].map(([name, own]) => [name, nested(own)]));
  const names = Object.keys(fields);
  const isList = names.length > 0 && names.every((name, index) => name === String(index));
  return isList ? Object.values(fields) : fields;
}

/** What is at the end of a path of names through objects in objects; undefined where there is nothing. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce((inner, name) => (isObject(inner) ? inner[name] : undefined), value) ?? undefined;
}
