import { Argument, type Command, Option } from "commander";
import { z } from "zod";
import { InvalidOptionsError } from "../errors.ts";
import { suggestion } from "../options.ts";
import type { CommandDefinition } from "./command.ts";

type JsonSchema = z.core.JSONSchema.JSONSchema;
type Kind = "string" | "number" | "boolean" | "array";

interface Field {
  readonly key: string;
  readonly schema: JsonSchema;
  readonly kinds: ReadonlySet<Kind>;
  readonly required: boolean;
}

/** Gives a commander command the flags and arguments of a definition's schema. */
export function addOptions(command: Command, definition: CommandDefinition): void {
  for (const field of fieldsOf(definition)) {
    const takesWords = definition.takesCommandLine && field.key === definition.arguments?.at(-1);
    if (isPositional(definition, field)) command.addArgument(toArgument(field, takesWords));
    else command.addOption(toOption(field));
  }
}

/** What was given on the command line, checked. Throws InvalidOptionsError that names the flags at fault. */
export function readOptions<Schema extends z.ZodObject>(
  command: Command,
  definition: CommandDefinition<Schema>,
): z.output<Schema> {
  const values: Record<string, unknown> = {};
  for (const field of fieldsOf(definition)) {
    const value = isPositional(definition, field)
      ? command.processedArgs[definition.arguments?.indexOf(field.key) ?? -1]
      : command.getOptionValue(toOption(field).attributeName());
    if (value !== undefined) values[field.key] = value;
    // Said here, not by commander: of a misspelt option it would say only that the right one is missing.
    else if (field.required && !isPositional(definition, field))
      throw new InvalidOptionsError(
        definition.name,
        `required option '${toOption(field).flags}' not specified`,
        {
          hint: `See: cachesage ${definition.name} --help`,
        },
      );
  }
  const parsed = definition.options.safeParse(values, { reportInput: true });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path: [key], message, input }) =>
    key === undefined ? message : `${nameOf(definition, String(key))}: ${message}${got(input)}`,
  );
  const meant = parsed.error.issues.map((issue) => suggestion(issue, issue.input));
  throw new InvalidOptionsError(definition.name, problems.join("; "), {
    hint: [...meant, `See: cachesage ${definition.name} --help`].filter(Boolean).join(" "),
  });
}

/** In the order of positions first, since commander numbers arguments as they are added. */
function fieldsOf(definition: CommandDefinition): readonly Field[] {
  const { properties = {}, required = [] } = z.toJSONSchema(definition.options, {
    io: "input",
    unrepresentable: "any",
  });
  const positions = definition.arguments ?? [];
  const flags = Object.keys(properties).filter((key) => !positions.includes(key));
  return [...positions, ...flags].map((key) => {
    const schema = properties[key];
    const kinds = new Set(typeof schema === "object" ? kindsOf(schema) : []);
    if (typeof schema !== "object" || kinds.size === 0)
      throw new InvalidOptionsError(definition.name, `option ${key} cannot be written on a command line`, {
        hint: "Leave it out of the command's schema, or give it a type of text, number, boolean or list.",
      });
    return { key, schema, kinds, required: required.includes(key) };
  });
}

function kindsOf(schema: JsonSchema): readonly Kind[] {
  if (schema.anyOf)
    return schema.anyOf.flatMap((option) => (typeof option === "object" ? kindsOf(option) : []));
  const values = schema.enum ?? (schema.const === undefined ? undefined : [schema.const]);
  const types = values?.map((value) => typeof value) ?? [schema.type].flat();
  return types.flatMap((type) => {
    if (type === "integer") return "number";
    return type === "string" || type === "number" || type === "boolean" || type === "array" ? type : [];
  });
}

function toOption(field: Field): Option {
  const { key, schema, kinds } = field;
  const isSwitch = kinds.has("boolean") && kinds.size === 1;
  if (isSwitch && schema.default === true)
    return new Option(`--no-${kebab(key)}`, `Turn off: ${schema.description ?? key}`);
  if (isSwitch) return new Option(`--${kebab(key)}`, schema.description);
  const option = new Option(`--${kebab(key)} <${placeholder(kinds)}>`, schema.description).argParser(
    (text: string, before: unknown) => read(field, text, before === schema.default ? [] : before),
  );
  // A list is shown as it is written: with commas, without brackets.
  if (Array.isArray(schema.default))
    option.default(schema.default, schema.default.length > 0 ? schema.default.join(",") : "none");
  else if (schema.default !== undefined) option.default(schema.default);
  if (schema.enum) option.argChoices = schema.enum.map(String);
  return option;
}

function toArgument(field: Field, takesWords = false): Argument {
  const { key, schema, kinds, required } = field;
  const name = kinds.has("array") ? `${kebab(key)}...` : kebab(key);
  const argument = new Argument(required ? `<${name}>` : `[${name}]`, schema.description).argParser(
    (text: string, before: unknown) => {
      const earlier = before === schema.default ? [] : before;
      return takesWords ? [...[earlier ?? []].flat(), text] : read(field, text, earlier);
    },
  );
  if (schema.default === undefined) return argument;
  return argument.default(schema.default, Array.isArray(schema.default) ? "none" : undefined);
}

/** The value of one word; lists grow with each word and at each comma. */
function read({ schema, kinds }: Field, text: string, before: unknown): unknown {
  if (!kinds.has("array")) return scalar(kinds, text);
  const items = typeof schema.items === "object" && !Array.isArray(schema.items) ? schema.items : {};
  const itemKinds = new Set(kindsOf(items));
  return [
    ...(Array.isArray(before) ? before : []),
    ...text.split(",").map((item) => scalar(itemKinds, item.trim())),
  ];
}

function scalar(kinds: ReadonlySet<Kind>, text: string): unknown {
  if (kinds.has("number") && text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  if (kinds.has("boolean") && (text === "true" || text === "false")) return text === "true";
  return text;
}

function placeholder(kinds: ReadonlySet<Kind>): string {
  if (kinds.has("array")) return "list";
  return kinds.has("string") ? "text" : "number";
}

function nameOf(definition: CommandDefinition, key: string): string {
  if (definition.arguments?.includes(key)) return `<${kebab(key)}>`;
  const field = fieldsOf(definition).find((candidate) => candidate.key === key);
  return field === undefined ? key : (toOption(field).long ?? key);
}

function isPositional(definition: CommandDefinition, field: Field): boolean {
  return definition.arguments?.includes(field.key) ?? false;
}

function got(input: unknown): string {
  return input === undefined ? "" : `, got ${JSON.stringify(input)}`;
}

/** `baseURL` becomes `base-url`, `topP` becomes `top-p`. */
function kebab(key: string): string {
  return key
    .replaceAll(/([a-z\d])([A-Z])/g, "$1-$2")
    .replaceAll(/([A-Z]+)([A-Z][a-z])/g, "$1-$2")
    .toLowerCase();
}
