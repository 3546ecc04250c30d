import { randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { messageOf, StoreError } from "../errors.ts";
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

const FORMAT = 1;
const count = z.number().nonnegative();
const file = z.object({
  format: z.literal(FORMAT),
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
    const settings = parseOptions("store file", namespaceOptions.extend({ folder: z.string().min(1) }), {
      ...options,
      folder,
    });
    const { tenant, workload } = settings;
    this.namespace = { tenant, workload };
    this.#folder = folder;
    this.#prefix = `${fileName(this.namespace.tenant)}+${fileName(this.namespace.workload)}+`;
  }

  async add(batch: Batch): Promise<void> {
    await this.#told(() => this.#change((totals) => totals.add(batch)));
  }

  async load(version?: string): Promise<StoredCounts | undefined> {
    const { totals } = await this.#told(() => this.#newest());
    return totals.read(version);
  }

  async reset(): Promise<void> {
    await this.#told(async () => {
      // What cannot be read can be forgotten all the same.
      const anyway = async () => ({
        number: newestOf(await this.#numbers()),
        totals: new Totals(randomUUID),
      });
      await this.#change(
        (totals) => (totals.reset(), true),
        () => this.#newest().catch(anyway),
      );
      const texts = (await readdir(this.#folder)).filter(
        (name) => name.startsWith(this.#prefix) && name.endsWith(".text"),
      );
      for (const name of texts) await rm(join(this.#folder, name), { force: true });
    });
  }

  async put(name: string, text: string): Promise<void> {
    await this.#told(async () => {
      await mkdir(this.#folder, { recursive: true });
      await this.#drafted(text, async (draft) => rename(draft, this.#textPath(name)));
      await this.#syncFolder();
    });
  }

  get(name: string): Promise<string | undefined> {
    return this.#told(() => readFile(this.#textPath(name), "utf8").catch(onlyMissing(undefined)));
  }

  async close(): Promise<void> {}

  /** What the file system complains of, such as a full disk or a folder that is read-only, is told as a store's error. */
  async #told<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof StoreError) throw cause;
      throw new StoreError("file", `${messageOf(cause)}, in ${this.#folder}`, {
        hint: "Is it a folder that this process may write to, on a disk with space left?",
        cause,
      });
    }
  }

  /**
   * @param change false when there is nothing to change, as when it has been done already.
   * @param base what is changed.
   */
  async #change(change: (totals: Totals) => boolean, base = () => this.#newest()): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { number, totals } = await base();
      if (!change(totals)) return;
      const next = number + 1;
      const isWritten = await this.#write(next, totals);
      // Where others are further on already, this version was based on one long gone: then it does not count.
      if (isWritten && newestOf(await this.#numbers()) === next) return this.#clean(next);
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
        const state: unknown = JSON.parse(await readFile(this.#path(number), "utf8"));
        this.#refuseNewer(state);
        return { number: newestOf(numbers), totals: new Totals(randomUUID, file.parse(state)) };
      } catch (error) {
        if (error instanceof StoreError) throw error;
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

  /** To go on from an older version would throw away what was learned since. */
  #refuseNewer(state: unknown): void {
    const { format } = (state ?? {}) as { readonly format?: unknown };
    if (typeof format !== "number" || format <= FORMAT) return;
    throw new StoreError(
      "file",
      `written by a newer cachesage, got format ${format}, know ${FORMAT}, in ${this.#folder}`,
      { hint: "Update this process, or give it a folder of its own." },
    );
  }

  /** False when another process has written this version. */
  async #write(number: number, totals: Totals): Promise<boolean> {
    try {
      const text = JSON.stringify({ format: FORMAT, ...totals.state() });
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
    const names = await readdir(this.#folder).catch(onlyMissing<string[]>([]));
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

function newestOf(numbers: readonly number[]): number {
  return Math.max(0, ...numbers);
}

/** Takes an error for this value where nothing is there yet. */
function onlyMissing<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === "ENOENT") return instead;
    throw error;
  };
}

/** Capitals are spelled out: to some file systems they are the same as small letters. */
function fileName(name: string): string {
  return name.replaceAll(/[^a-z\d_.@-]/g, (letter) => `%${letter.codePointAt(0)?.toString(16)}`);
}
