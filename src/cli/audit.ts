import { open } from "node:fs/promises";
import { z } from "zod";
import { checkChain } from "../audit/chain.ts";
import { defineCommand } from "./command.ts";
import { checkInFile } from "./in-file.ts";

const options = z.strictObject({
  action: z.enum(["verify"]).describe("verify: check that no entry was changed, left out or moved."),
  log: z
    .array(z.string().min(1))
    .min(1)
    .describe(
      "The file that option auditLog of the policy safety names; of a log that was rotated all its files, oldest first.",
    ),
  head: z
    .string()
    .optional()
    .describe(
      "Hash that the log must have got to: that of an earlier check, kept where the log's writer cannot reach.",
    ),
  json: z.boolean().default(false).describe("Print one JSON object."),
});

export default defineCommand({
  name: "audit",
  summary: "Check an audit log of the policy safety",
  description:
    "Checks the chain of hashes of an audit log. With the log's key in CACHESAGE_AUDIT_KEY it also tells a log that was written " +
    "anew. Exits with 1 when something is wrong.",
  example: "cachesage audit verify audit.jsonl",
  arguments: ["action", "log"],
  options,
  async run({ log, head, json }, io) {
    for (const file of log)
      await checkInFile(
        "audit",
        "<log>",
        file,
        "Give the file that option auditLog of the policy safety names.",
      );
    let isHeadSeen = head === undefined;
    let place = "";
    const lines = async function* () {
      for (const name of log) {
        const file = await open(name);
        let number = 0;
        for await (const line of file.readLines()) {
          place = `${log.length > 1 ? `${name}, ` : ""}line ${++number}`;
          if (head !== undefined && line.includes(`"hash":"${head}"`)) isHeadSeen = true;
          yield line;
        }
      }
    };
    const check = await checkChain(lines(), io.env["CACHESAGE_AUDIT_KEY"]);
    const { entries, problem, isClosed } = check;
    if (json) io.stdout(`${JSON.stringify({ ...check, ...(head !== undefined && { isHeadSeen }) })}\n`);
    else if (problem) io.stdout(`${place} ${problem.what}; ${entries} entries before it are in order\n`);
    else io.stdout(`${entries} entries, all in order; head ${check.head || "none"}\n`);
    if (!json && !problem && !isHeadSeen) io.stdout(`the log never got to ${head}: entries are missing\n`);
    if (problem?.line === 1 && problem.what.startsWith("is entry"))
      io.stderr("Of a log that was rotated, name all files, the oldest first.\n");
    if (!isClosed && !problem)
      io.stderr(
        "The log was not closed: its writer still runs, was killed, or the last entries are missing.\n",
      );
    return problem || !isHeadSeen ? 1 : 0;
  },
});
