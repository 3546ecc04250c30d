import { z } from "zod";
import { InvalidOptionsError } from "../errors.ts";
import { type CommandIo, defineCommand, type ExitCode } from "./command.ts";
import { markdownTable } from "./markdown-table.ts";

const options = z.strictObject({
  name: z.string().optional().describe("A policy; without one, all are listed."),
  demo: z
    .boolean()
    .default(false)
    .describe(
      "Play a LangGraph.js app with all policies off and with all on, and show what each of them did.",
    ),
  runs: z.number().int().positive().default(30).describe("Runs of the demo."),
  seed: z.number().int().nonnegative().default(1).describe("Seed of the demo."),
  json: z.boolean().default(false).describe("Print JSON instead of tables."),
  markdown: z.boolean().default(false).describe("Print the list as the README has it."),
});

const columns = ["policy", "what it does", "rates", "verbs", "on fault", "on by default"];

export default defineCommand({
  name: "policies",
  summary: "List the policies, show the options of one, or play them all",
  description:
    "Lists the policies that there are, and with a name the options of that one: what connect takes as `policies`. " +
    "With --demo, all of them work together on an embedded engine.",
  example: "cachesage policies tool-memo",
  arguments: ["name"],
  options,
  async run({ name, json, markdown, demo, runs, seed }, io) {
    if (demo && name !== undefined)
      throw new InvalidOptionsError("policies", `--demo: plays all policies, got ${name} as well`, {
        hint: "Leave out the name, or --demo.",
      });
    if (demo) return playDemo({ runs, seed }, json, io);
    const { DEFAULT_POLICIES, policies } = await import("../policy-set.ts");
    const { fittedTable } = await import("../fitted-table.ts");
    const table = (head: readonly string[], rows: readonly string[][]) =>
      `${fittedTable(head, rows, io.columns)}\n`;
    if (name === undefined) {
      const all = await Promise.all(
        (await policies.names()).map(async (one) => {
          const { description, subject, actions, onFault = "open" } = await policies.load(one);
          const isDefault = DEFAULT_POLICIES.includes(one);
          return { name: one, description, subjects: [subject].flat(), actions, onFault, isDefault };
        }),
      );
      const rows = all.map((one) => [
        markdown ? `\`${one.name}\`` : one.name,
        one.description,
        one.subjects.join(", "),
        one.actions.join(", "),
        one.onFault,
        one.isDefault ? "yes" : "",
      ]);
      if (json) io.stdout(`${JSON.stringify(all)}\n`);
      else io.stdout(markdown ? markdownTable(columns, rows) : table(columns, rows));
      return 0;
    }
    const definition = await policies.load(name);
    const schema = z.toJSONSchema(definition.options, { io: "input", unrepresentable: "any" });
    const rows = optionRows(schema);
    if (json)
      io.stdout(`${JSON.stringify({ name, description: definition.description, options: schema })}\n`);
    else io.stdout(`${definition.description}\n\n${table(["option", "type", "default", ""], rows)}`);
    return 0;
  },
});

async function playDemo(
  given: { readonly runs: number; readonly seed: number },
  json: boolean,
  io: CommandIo,
): Promise<ExitCode> {
  const { loadApp } = await import("../arms/load-app.ts");
  const { progressTo } = await import("../arms/progress.ts");
  const { playAllPolicies } = await loadApp("demo", () => import("../demo/all-policies.ts"));
  const result = await playAllPolicies({ ...given, signal: io.signal, progress: progressTo(io) });
  if (json) io.stdout(`${JSON.stringify(result)}\n`);
  else {
    const { policiesText } = await import("../demo/policies-text.ts");
    io.stdout(policiesText(result));
  }
  return result.identical === result.runs && result.faults === 0 ? 0 : 1;
}

type JsonSchema = z.core.JSONSchema.JSONSchema;

/** One row an option; those of lists and records of objects follow under the path that leads to them. */
function optionRows(schema: JsonSchema, path = ""): string[][] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, option]) => {
    if (typeof option !== "object") return [];
    const own = `${path}${key}`;
    const row = [own, typeOf(option), option.default === undefined ? "" : JSON.stringify(option.default)];
    const [inner, mark] = innerOf(option);
    return [[...row, option.description ?? ""], ...(inner ? optionRows(inner, `${own}${mark}.`) : [])];
  });
}

function innerOf({ items, additionalProperties, properties, ...rest }: JsonSchema): [JsonSchema?, string?] {
  if (typeof items === "object" && !Array.isArray(items) && items.properties) return [items, "[]"];
  if (typeof additionalProperties === "object" && additionalProperties.properties)
    return [additionalProperties, ".<name>"];
  return properties ? [{ ...rest, properties }, ""] : [];
}

function typeOf({
  const: value,
  enum: values,
  anyOf,
  type,
  items,
  additionalProperties,
}: JsonSchema): string {
  if (value !== undefined) return JSON.stringify(value);
  if (values) return values.map((one) => JSON.stringify(one)).join(" | ");
  if (anyOf) return anyOf.map((one) => (typeof one === "object" ? typeOf(one) : "any")).join(" | ");
  if (typeof items === "object" && !Array.isArray(items)) return `list of ${typeOf(items)}`;
  if (typeof additionalProperties === "object") return `record of ${typeOf(additionalProperties)}`;
  return [type ?? "any"].flat().join(" | ");
}
