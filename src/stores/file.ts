import { randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { StoreError } from "../errors.ts";
import { parseOptions } from "../options.ts";
import { namespaceOptions } from "../runtime/namespace.ts";
import type { Batch, Namespace, Store, StoredCounts } from "../runtime/store.ts";
import { Totals } from "../runtime/totals.ts";

/** Versions kept: the newest, and the one before should the disk lose it. */
const KEPT = 2;
/** Writers that come first one after the other, before a batch is given up for this time. */
const ATTEMPTS = 50;
/** Milliseconds after which the draft of another process is one that it left behind. */
const ABANDONED_MS = 60_000;

const count = z.number().nonnegative();
const file = z.object({
  format: z.literal(1),
  epoch: z.string(),
  changes: z.int().nonnegative(),
  writers: z.array(z.tuple([z.string(), z.int().nonnegative()])),
  counts: z.array(z.tuple([z.string(), count])),
});

/** A version of the state, by its number; 0 when there is none yet. */
interface Version {
  readonly number: number;
  readonly totals: Totals;
}

/**
 * Keeps learned state in a folder, one numbered file a version.
 *
 * A version is written aside, synced, and then given its name by `link`, which fails where the name is taken: so a file is there
 * as a whole or not at all, whenever a process is killed, and of several processes that add at once none overwrites another.
 */
export class FileStore implements Store {
  readonly name = "file";
  readonly namespace: Namespace;
  readonly #folder: string;
  readonly #prefix: string;

  /**
   * @param folder made when it is missing; on a local disk.
   * @throws InvalidOptionsError.
   */
  constructor(folder: string, options: z.input<typeof namespaceOptions> = {}) {
    this.namespace = parseOptions("store file", namespaceOptions, options);
    this.#folder = folder;
    this.#prefix = `${fileName(this.namespace.tenant)}+${fileName(this.namespace.workload)}+`;
  }

  add(batch: Batch): Promise<void> {
    return this.#change((totals) => totals.add(batch));
  }

  async load(version?: string): Promise<StoredCounts | undefined> {
    return (await this.#newest()).totals.read(version);
  }

  async reset(): Promise<void> {
    let isDone = false;
    await this.#change((totals) => {
      if (isDone) return false;
      totals.reset();
      return (isDone = true);
    });
    const texts = (await readdir(this.#folder)).filter(
      (name) => name.startsWith(this.#prefix) && name.endsWith(".text"),
    );
    for (const name of texts) await rm(join(this.#folder, name), { force: true });
  }

  async put(name: string, text: string): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    await this.#drafted(text, async (draft) => rename(draft, this.#textPath(name)));
    await this.#syncFolder();
  }

  get(name: string): Promise<string | undefined> {
    return readFile(this.#textPath(name), "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
  }

  async close(): Promise<void> {}

  /** @param change false when there is nothing to change, as when it has been done already. */
  async #change(change: (totals: Totals) => boolean): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { number, totals } = await this.#newest();
      if (!change(totals)) return;
      const next = number + 1;
      const isWritten = await this.#write(next, totals);
      // Where others are further on already, this version was based on one long gone: then it does not count.
      if (isWritten && Math.max(...(await this.#numbers())) === next) return this.#clean(next);
    }
    throw new StoreError("file", `${ATTEMPTS} other writers came first, in ${this.#folder}`, {
      hint: "Save less often, or use the redis store.",
    });
  }

  async #newest(): Promise<Version> {
    const numbers = await this.#numbers();
    let fault: unknown;
    for (const number of numbers.toSorted((a, b) => b - a)) {
      try {
        const text = await readFile(this.#path(number), "utf8");
        const totals = new Totals(randomUUID, file.parse(JSON.parse(text)));
        return { number: Math.max(...numbers), totals };
      } catch (error) {
        // Others have gone on meanwhile, or the disk has lost this one.
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return this.#newest();
        fault = error;
      }
    }
    if (fault === undefined) return { number: 0, totals: new Totals(randomUUID) };
    throw new StoreError("file", `no version can be read, in ${this.#folder}`, {
      hint: "Restore the folder from a copy, or delete it to learn anew.",
      cause: fault,
    });
  }

  /** False when another process has written this version. */
  async #write(number: number, totals: Totals): Promise<boolean> {
    try {
      const text = JSON.stringify({ format: 1, ...totals.state() });
      await this.#drafted(text, async (draft) => link(draft, this.#path(number)));
      await this.#syncFolder();
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
      throw error;
    }
  }

  /** Writes a text aside, synced, and gives it its name. */
  async #drafted(text: string, name: (draft: string) => Promise<void>): Promise<void> {
    const draft = join(this.#folder, `${this.#prefix}${randomUUID()}.draft`);
    try {
      const handle = await open(draft, "wx");
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await name(draft);
    } finally {
      await rm(draft, { force: true });
    }
  }

  /** Some systems cannot open a folder; there the name is as safe as they make it. */
  async #syncFolder(): Promise<void> {
    const folder = await open(this.#folder, "r").catch(() => undefined);
    await folder?.sync().catch(() => {});
    await folder?.close();
  }

  async #clean(newest: number): Promise<void> {
    const numbers = await this.#numbers();
    const old = numbers.filter((number) => number <= newest - KEPT).map((number) => this.#path(number));
    for (const path of [...old, ...(await this.#abandoned())]) await rm(path, { force: true });
  }

  async #abandoned(): Promise<readonly string[]> {
    const drafts = (await readdir(this.#folder)).filter((name) => name.endsWith(".draft"));
    const paths = drafts.map((name) => join(this.#folder, name));
    const found = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
    return paths.filter((_, i) => (found[i]?.mtimeMs ?? Infinity) < Date.now() - ABANDONED_MS);
  }

  async #numbers(): Promise<readonly number[]> {
    const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    return names.flatMap((name) => {
      const number = name.startsWith(this.#prefix) ? name.slice(this.#prefix.length) : "";
      return /^\d+\.json$/.test(number) ? Number.parseInt(number, 10) : [];
    });
  }

  #path(number: number): string {
    return join(this.#folder, `${this.#prefix}${number}.json`);
  }

  #textPath(name: string): string {
    return join(this.#folder, `${this.#prefix}${fileName(name)}.text`);
  }
}

/** Capitals are spelled out: to some file systems they are the same as small letters. */
function fileName(name: string): string {
  return name.replaceAll(/[^a-z\d_.@-]/g, (letter) => `%${letter.codePointAt(0)?.toString(16)}`);
}
