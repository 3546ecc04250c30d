import { readdir } from "node:fs/promises";
import { UnknownNameError } from "./errors.ts";

/** A folder of one-file modules: the files are the list, so adding one is adding a file. */
export interface Registry<T> {
  /** What the folder holds, in the singular; used in errors. */
  readonly kind: string;
  names(): Promise<readonly string[]>;
  /** Loads the default export. Throws UnknownNameError when there is no such file. */
  load(name: string): Promise<T>;
}

/** @param folder URL of the folder, ending in a slash; sources (`.ts`) and built files (`.js`) both work. */
export function registry<T>(kind: string, folder: URL): Registry<T> {
  const files = async () =>
    new Map(
      (await readdir(folder))
        .filter((file) => /(?<!\.d)\.(ts|js)$/.test(file))
        .map((file) => [file.replace(/\.(ts|js)$/, ""), file]),
    );
  return {
    kind,
    names: async () => [...(await files()).keys()].toSorted(),
    async load(name) {
      const known = await files();
      const file = known.get(name);
      if (file === undefined) throw new UnknownNameError(kind, name, [...known.keys()].toSorted());
      const module = (await import(new URL(file, folder).href)) as { default: T };
      return module.default;
    },
  };
}
