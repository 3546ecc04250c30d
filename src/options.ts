import { z } from "zod";
import { InvalidOptionsError } from "./errors.ts";

/** Checks a value against a schema. Throws InvalidOptionsError that names the option, what was wrong and what was got. */
export function parseOptions<Schema extends z.ZodType>(
  owner: string,
  schema: Schema,
  value: unknown,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    const path = issue.path.join(".");
    const got = issue.code === "unrecognized_keys" ? undefined : valueAt(value, issue.path);
    return `${path ? `option ${path}: ` : ""}${issue.message}${got === undefined ? "" : `, got ${show(got)}`}`;
  });
  const names = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  throw new InvalidOptionsError(owner, problems.join("; "), {
    ...(names.length > 0 && { hint: `Options are: ${names.join(", ")}.` }),
  });
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const key of path) at = (at as Record<PropertyKey, unknown> | undefined)?.[key];
  return at;
}

function show(value: unknown): string {
  const text = typeof value === "function" ? "a function" : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
