import { readFileSync } from "node:fs";
import GithubSlugger from "github-slugger";
import MarkdownIt, { type Token } from "markdown-it";

export const root = new URL("../../", import.meta.url);

/** A fenced block of code. */
export interface Block {
  /** First word after the fence. */
  readonly language: string;
  /** What follows it. GitHub shows none of it. */
  readonly words: readonly string[];
  readonly text: string;
  /** Line of its first line of code, counted from 1. */
  readonly line: number;
}

/** A Markdown file of the checkout, as GitHub reads it. */
export interface Page {
  readonly file: string;
  readonly blocks: readonly Block[];
  /** Code inside of lines. */
  readonly spans: readonly string[];
  /** Targets of links and pictures, those in HTML too. */
  readonly links: readonly string[];
  /** Where links to headings may lead. */
  readonly anchors: readonly string[];
}

export function readPage(file: string): Page {
  const tokens = new MarkdownIt({ html: true }).parse(readFileSync(new URL(file, root), "utf8"), {});
  const inline = tokens.flatMap(({ children }) => children ?? []);
  const html = [...tokens, ...inline].filter(({ type }) => type.startsWith("html_"));
  const slugger = new GithubSlugger();
  return {
    file,
    blocks: tokens.filter(({ type }) => type === "fence" || type === "code_block").map(blockOf),
    spans: inline.flatMap(({ type, content }) => (type === "code_inline" ? content : [])),
    links: [
      ...inline.flatMap((token) => token.attrGet("href") ?? token.attrGet("src") ?? []),
      ...html.flatMap(({ content }) =>
        [...content.matchAll(/(?:href|src|srcset)="([^"]+)"/g)].map(([, target = ""]) => target),
      ),
    ],
    anchors: tokens.flatMap(({ type }, index) =>
      type === "heading_open" ? slugger.slug(plain(tokens[index + 1])) : [],
    ),
  };
}

function blockOf({ info, content, map }: Token): Block {
  const [language = "", ...words] = info.split(/\s+/);
  return { language, words, text: content, line: (map?.[0] ?? 0) + 2 };
}

function plain(heading: Token | undefined): string {
  return (heading?.children ?? []).map(({ content }) => content).join("");
}
