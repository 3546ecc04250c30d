import { readdirSync, readFileSync } from "node:fs";

const folder = new URL("../../src/cli/", import.meta.url);

/** The commands of the package: the files of the folder that declare one. */
export const commandNames = readdirSync(folder)
  .filter((file) => /^export default defineCommand\(/m.test(readFileSync(new URL(file, folder), "utf8")))
  .map((file) => file.replace(".ts", ""));
