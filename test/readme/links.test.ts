import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readPage, root } from "./markdown.ts";

const pages = execFileSync("git", ["ls-files", "*.md"], { cwd: fileURLToPath(root), encoding: "utf8" })
  .split("\n")
  .filter((file) => file !== "")
  .map(readPage);

describe.each(pages)("$file", ({ file, links, anchors }) => {
  const here = new URL(file, root);
  const inside = links.filter((link) => !URL.canParse(link));

  it("links to headings that it has", () => {
    const wanted = inside.flatMap((link) => (link.startsWith("#") ? link.slice(1) : []));
    expect(wanted.filter((anchor) => !anchors.includes(anchor))).toEqual([]);
  });

  it("links to files that are there", () => {
    const files = inside.filter((link) => !link.startsWith("#")).map((link) => new URL(link, here));
    expect(files.filter(({ protocol }) => protocol !== "file:")).toEqual([]);
    expect(files.filter((target) => !existsSync(target)).map(String)).toEqual([]);
    const headings = files.filter(({ hash }) => hash !== "");
    const unknown = headings.filter(
      ({ pathname, hash }) => !readPage(pathname).anchors.includes(hash.slice(1)),
    );
    expect(unknown.map(String)).toEqual([]);
  });

  it("links elsewhere by https alone", () => {
    const outside = links.filter((link) => URL.canParse(link));
    expect(outside.filter((link) => !link.startsWith("https://"))).toEqual([]);
  });
});

it("looks at the README, and finds its links", () => {
  const readme = pages.find(({ file }) => file === "README.md");
  expect(readme?.links.length).toBeGreaterThan(40);
  expect(readme?.anchors).toContain("error-codes");
});
