import { z } from "zod";
import { defineTool, handOver, type Member, type ToolCall } from "../member.ts";
import { pick, type Turn } from "../turn.ts";
import { count, type Workspace } from "../workspace.ts";

const next = ["planner", "reviewer", "END"];
const documents = ["guide", "reference", "changes"] as const;

const writeSection = defineTool({
  name: "write_section",
  description: "Writes or replaces one section of a document.",
  schema: z.strictObject({
    document: z.enum(documents).describe("Which document"),
    heading: z.string().describe("The question it answers"),
    text: z.string().describe("Plain sentences"),
  }),
  run: (section, workspace) => {
    const earlier = workspace.writeSection(section);
    const left = workspace.undocumentedExports.length;
    return workspace.report(
      `${earlier ? "Replaced" : "Added"} "${section.heading}" in the ${section.document}: ${section.text}`,
      `${count(left, "export")} ${left === 1 ? "is" : "are"} still undocumented.`,
    );
  },
});

const auditDocuments = defineTool({
  name: "audit_documents",
  description: "Lists headings and exports that no section mentions.",
  schema: z.strictObject({
    document: z.enum(documents).describe("Whose headings to list"),
  }),
  run: ({ document }, workspace) => {
    const headings = workspace.sections
      .filter((section) => section.document === document)
      .map(({ heading }) => heading);
    const missing = workspace.undocumentedExports.slice(0, 3).map(({ name, path }) => `${name} of ${path}`);
    return workspace.report(
      `The document "${document}" has ${count(headings.length, "section")}: ${headings.slice(-3).join(", ") || "none yet"}.`,
      missing.length > 0
        ? `No document mentions ${missing.join(", ")}.`
        : "Every export of a written file is mentioned.",
    );
  },
});

function act({ random }: Turn, workspace: Workspace): ToolCall {
  const [missing] = workspace.undocumentedExports;
  if (missing && random() < 0.75) {
    const contract = workspace.moduleAt(missing.path);
    const names = contract?.exports.join(" and ") ?? missing.name;
    const size = workspace.fileAt(missing.path)?.lines.length ?? 0;
    return {
      tool: "write_section",
      args: {
        document: pick(["guide", "reference"] as const, random),
        heading: `What ${missing.path} offers`,
        text: `The module ${missing.path} ${contract?.purpose ?? "belongs to the program"}. Import ${names} from it. It has ${size} lines and ${contract?.uses.length ? `builds on ${contract.uses.join(", ")}` : "depends on nothing else"}.`,
      },
    };
  }
  const decision = workspace.decisions.at(-1);
  if (decision && random() < 0.5)
    return {
      tool: "write_section",
      args: {
        document: "changes",
        heading: decision.title,
        text: `From now on ${decision.choice} (${decision.id}). This is so because ${decision.reason}.`,
      },
    };
  return { tool: "audit_documents", args: { document: pick(documents, random) } };
}

const system = `You are the Documenter of a software team of six agents. You write what a newcomer needs in order to use the result today, and nothing that the code says better.

Write about what exists in the workspace, not about what was planned. Each section has one question and answers it in its first sentence. Use the names of the exports exactly. Show limits, defaults and errors, for these are what people look up. Where a name or a unit differs, the file is right and the sentence is wrong.

Answer in at most 60 words: what you wrote and what confused you. Confusion goes to the reviewer, missing work to the planner. If every export is covered, end.

${handOver(next)}`;

/** Explains the result to a newcomer. */
const documenter: Member = { name: "documenter", system, tools: [writeSection, auditDocuments], next, act };
export default documenter;
