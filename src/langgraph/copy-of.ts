/**
 * A copy of plain objects and arrays, at any depth. Anything else is taken as it is: messages and other instances are not
 * changed in place by convention.
 */
export function copyOf(value: unknown, known = new Map<object, unknown>()): unknown {
  if (typeof value !== "object" || value === null) return value;
  const before = known.get(value);
  if (before !== undefined) return before;
  if (Array.isArray(value)) {
    const copy: unknown[] = [];
    known.set(value, copy);
    for (const item of value) copy.push(copyOf(item, known));
    return copy;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  const copy: Record<string, unknown> = {};
  known.set(value, copy);
  for (const [key, item] of Object.entries(value)) copy[key] = copyOf(item, known);
  return copy;
}
