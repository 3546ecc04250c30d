// Asks whether the outside links of all Markdown files are still there. Exits with 1 when one is gone; what cannot be reached from
// here, and what keeps scripts out, is told and fails nothing. Run by `npm run links`.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import MarkdownIt from "markdown-it";

const GONE = new Set([404, 410]);
const TIMEOUT_MS = 10_000;
const root = new URL("../../", import.meta.url);

const files = execFileSync("git", ["ls-files", "*.md"], { cwd: root, encoding: "utf8" })
  .split("\n")
  .filter(Boolean);
const links = new Set(
  files.flatMap((file) =>
    new MarkdownIt({ html: true })
      .parse(readFileSync(new URL(file, root), "utf8"), {})
      .flatMap(({ children }) => children ?? [])
      .map((token) => token.attrGet("href") ?? "")
      .filter((link) => link.startsWith("https://")),
  ),
);

async function look(link) {
  try {
    const { status } = await fetch(link, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: "follow" });
    if (GONE.has(status)) return { link, verdict: `gone: ${status}` };
    return { link, verdict: status < 400 ? "there" : `skipped: keeps scripts out, ${status}` };
  } catch (error) {
    const { code, name } = error.cause ?? error;
    return { link, verdict: `skipped: not reached from here, ${code ?? name}` };
  }
}

const found = await Promise.all([...links].map(look));
for (const { link, verdict } of found) if (verdict !== "there") console.log(`${verdict}: ${link}`);
const count = (word) => found.filter(({ verdict }) => verdict.startsWith(word)).length;
console.log(`${count("there")} there, ${count("gone")} gone, ${count("skipped")} skipped`);
process.exitCode = count("gone") > 0 ? 1 : 0;
