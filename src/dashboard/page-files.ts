import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

export interface PageFile {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly type: string;
}

const folder = new URL("./page/", import.meta.url);
const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/** Reads a file of the page; undefined when there is none. @param path as in the address, such as `/views/runs.js`. */
export async function pageFile(path: string): Promise<PageFile | undefined> {
  if (path === "/echarts.js")
    return file(fileURLToPath(import.meta.resolve("echarts/dist/echarts.esm.min.mjs")), "js");
  const name = path === "/" ? "index.html" : path.slice(1);
  const [, extension = ""] = /^(?:[a-z-]+\/)?[a-z-]+\.([a-z]+)$/.exec(name) ?? [];
  return extension in TYPES ? file(fileURLToPath(new URL(name, folder)), extension) : undefined;
}

async function file(path: string, extension: string): Promise<PageFile | undefined> {
  try {
    return { body: new Uint8Array(await readFile(path)), type: TYPES[extension] ?? "text/plain" };
  } catch {
    // Nothing of that name.
    return undefined;
  }
}
