import { z } from "zod";
import { InvalidOptionsError } from "./errors.ts";
import { didYouMean } from "./nearest.ts";

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
  const meant = parsed.error.issues.map((issue) => suggestion(issue, valueAt(value, issue.path), names));
  if (names.length > 0) meant.push(`Options are: ${names.join(", ")}.`);
  const hint = meant.filter(Boolean).join(" ");
  throw new InvalidOptionsError(owner, problems.join("; "), hint === "" ? {} : { hint });
}

/** What was probably meant by a misspelt value, or a misspelt option. */
export function suggestion(
  issue: z.core.$ZodIssue,
  got: unknown,
  names: readonly string[] = [],
): string | undefined {
  if (issue.code === "unrecognized_keys" && issue.path.length === 0)
    return issue.keys.map((key) => didYouMean(key, names)).find(Boolean);
  if (issue.code === "invalid_value" && typeof got === "string")
    return didYouMean(got, issue.values.map(String));
  return undefined;
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
