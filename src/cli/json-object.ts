import { InvalidOptionsError } from "../errors.ts";

/** Reads a flag whose value is a JSON object. Throws InvalidOptionsError that names the flag. */
export function readJsonObject(
  command: string,
  flag: string,
  text: string,
): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new InvalidOptionsError(command, `${flag}: expected a JSON object, got ${text}`, {
    hint: `Write it in quotes, such as ${flag} '{"priority":true}'.`,
  });
}
