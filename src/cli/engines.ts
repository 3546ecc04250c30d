import { z } from "zod";
import type { EngineDefinition } from "../runtime/engine.ts";
import { defineCommand } from "./command.ts";
import { markdownTable } from "./markdown-table.ts";

const options = z.strictObject({
  name: z.string().optional().describe("One engine, with its options."),
  json: z.boolean().default(false).describe("Print JSON instead of a table."),
  markdown: z.boolean().default(false).describe("Print the table as the README has it."),
});

const verbs = ["retain", "release", "prefetch", "pin", "evict", "cancel", "priority"] as const;

export default defineCommand({
  name: "engines",
  summary: "List the engines, what they support and their options",
  description:
    "Lists the engines that cachesage has an adapter for, and what each verb, and serving by priority, is there with the adapter's default options: " +
    "native, emulated or absent. With a name: that engine's options.",
  example: "cachesage engines",
  arguments: ["name"],
  options,
  async run({ name, json, markdown }, io) {
    const { engines } = await import("../engine-registry.ts");
    if (name !== undefined) {
      const definition = await engines.load(name);
      const all = { ...described(definition), options: schemaOf(definition) };
      io.stdout(json ? `${JSON.stringify(all)}\n` : optionsOf(definition));
      return 0;
    }
    const found = await Promise.all(
      (await engines.names()).map(async (one) => described(await engines.load(one))),
    );
    if (json) io.stdout(`${JSON.stringify(found)}\n`);
    else if (markdown) io.stdout(markdownTable(head, found.map(markdownCells)));
    else {
      const { fittedTable } = await import("../fitted-table.ts");
      io.stdout(`${fittedTable(head, found.map(cells), io.columns)}\n`);
    }
    return 0;
  },
});

interface Described {
  readonly name: string;
  readonly description: string;
  readonly seen: string | null;
  readonly supports: Readonly<Record<string, string>>;
}

function described(definition: EngineDefinition): Described {
  const adapter = definition.create(definition.options.parse({}));
  const supports = Object.fromEntries(
    verbs.map((verb) => [verb, support(definition, adapter.supports[verb], verb)]),
  );
  return {
    name: definition.name,
    description: definition.description,
    seen: definition.seen ?? null,
    supports,
  };
}

/** A verb that some server flag or option brings is optional. */
function support(
  { remedies }: EngineDefinition,
  declared: string | undefined,
  verb: (typeof verbs)[number],
): string {
  return declared ?? (remedies?.[verb] === undefined ? "-" : "optional");
}

const head = ["engine", ...verbs, "seen working with"];
const cells = ({ name, supports, seen }: Described): readonly string[] => [
  name,
  ...verbs.map((verb) => supports[verb] ?? "-"),
  seen ?? "not yet seen on a real server",
];

function markdownCells(engine: Described): readonly string[] {
  const [name = "", ...rest] = cells(engine);
  return [`\`${name}\``, ...rest];
}

function schemaOf({ options: schema }: EngineDefinition) {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
}

function optionsOf(definition: EngineDefinition): string {
  const { name, description } = definition;
  const { properties = {} } = schemaOf(definition);
  const lines = Object.entries(properties).map(([option, field]) => {
    const { description: words = "", default: value } = field as { description?: string; default?: unknown };
    return `  ${option}: ${words}${value === undefined ? "" : ` (default: ${JSON.stringify(value)})`}\n`;
  });
  return `${name}: ${description}\n${lines.join("")}`;
}
