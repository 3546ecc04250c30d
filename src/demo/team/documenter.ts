import { z } from "zod";
import { defineTool, handOver, type Member, type ToolCall } from "../member.ts";
import { pick, topicsOf, type Turn } from "../turn.ts";
import { count, type Workspace } from "../workspace.ts";

const next = ["planner", "reviewer", "END"];
const documents = ["guide", "reference", "changes"] as const;

const writeSection = defineTool({
  name: "write_section",
  description: "Writes or replaces one section of a document.",
  schema: z.strictObject({
    document: z.enum(documents).describe("guide: how to; reference: per export; changes: what is new"),
    heading: z.string().max(80).describe("The question that the section answers, in a few words"),
    text: z.string().max(1200).describe("The section in plain sentences"),
  }),
  run: (section, workspace) => {
    const earlier = workspace.writeSection(section);
    const words = section.text.split(/\s+/).length;
    const left = workspace.undocumentedExports.length;
    return workspace.report(
      `${earlier ? "Replaced" : "Added"} "${section.heading}" in the ${section.document}, ${count(words, "word")}: ${section.text}`,
      `${count(left, "export")} ${left === 1 ? "is" : "are"} still undocumented.`,
    );
  },
});

const auditDocuments = defineTool({
  name: "audit_documents",
  description:
    "Compares the documents with the files: exports that no section mentions, sections per document.",
  schema: z.strictObject({
    document: z.enum(documents).describe("Document whose headings to list"),
  }),
  run: ({ document }, workspace) => {
    const headings = workspace.sections
      .filter((section) => section.document === document)
      .map(({ heading }) => heading);
    const missing = workspace.undocumentedExports.slice(0, 8).map(({ name, path }) => `${name} of ${path}`);
    return workspace.report(
      `The document "${document}" has ${count(headings.length, "section")}: ${headings.slice(-8).join(", ") || "none yet"}.`,
      missing.length > 0
        ? `No document mentions ${missing.join(", ")}.`
        : "Every export of a written file is mentioned.",
    );
  },
});

function act({ task, random }: Turn, workspace: Workspace): ToolCall {
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
        text: `The module ${missing.path} ${contract?.purpose ?? "belongs to the program"}. Import ${names} from it. It is ${size} lines long and ${contract?.uses.length ? `builds on ${contract.uses.join(", ")}` : "depends on nothing else"}.`,
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
        text: `From now on ${decision.choice}. This was decided (${decision.id}) because ${decision.reason}. Whoever relied on another behaviour around the ${pick(topicsOf(task), random)} has to adapt.`,
      },
    };
  return { tool: "audit_documents", args: { document: pick(documents, random) } };
}

const system = `You are the Documenter of a software team of six agents. You write what a newcomer needs in order to use the result today, and nothing that the code says better.

Write about what exists in the workspace, not about what was planned. Give each section one question and answer it in its first sentence. Use the names of the exports exactly, short sentences, the present tense, and the same word for the same thing. Show limits, defaults and errors, for these are what people look up. Leave out history, praise and promises. The guide follows what a user does first, second and third; the reference follows the files; the changes say what to adapt and how. Hold every sentence against the files before you write it down: where a name, an order or a unit differs, the file is right and the sentence is wrong. An example beats a description as long as it is short enough to be copied whole.

Done means: the audit reports no export without a mention, the changes name every decision that a user can notice, and each section can be read alone.

Answer in at most 90 words: what you wrote, what you left out, and what confused you. Confusion is a finding, so send it to the reviewer. Missing work goes to the planner. If everything is covered, end.

${handOver(next)}`;

/** Explains the result to a newcomer. */
const documenter: Member = { name: "documenter", system, tools: [writeSection, auditDocuments], next, act };
export default documenter;
