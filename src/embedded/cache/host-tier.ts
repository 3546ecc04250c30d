import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { LlamaContextSequence } from "node-llama-cpp";
import { InvalidOptionsError } from "../../errors.ts";
import { blockTokens } from "./block.ts";
import { type SavedMatch, type SavedState, SavedStates } from "./saved-states.ts";

/** Tokens that a file must spare: where it spares fewer, writing and reading it costs about as much as computing them. */
const leastGain = 4 * blockTokens;

/**
 * Keeps what the KV memory gives up: states of sequences in files of a folder that only this user can read, the oldest
 * use out first. While a file is written, the folder holds that much more than the budget. No decode may be under way
 * when it saves or loads.
 */
export class HostTier {
  readonly #folder: string;
  readonly #states: SavedStates;
  #names = 0;
  #loadedTokens = 0;
  /** Prompts of this length and more were over the budget on their own. */
  #tooLong = Infinity;

  private constructor(folder: string, budget: number) {
    this.#folder = folder;
    this.#states = new SavedStates(budget);
  }

  /** Makes the folder. Throws InvalidOptionsError when that fails. */
  static async create(budget: number): Promise<HostTier> {
    try {
      return new HostTier(await mkdtemp(path.join(tmpdir(), "cachesage-host-")), budget);
    } catch (cause) {
      throw new InvalidOptionsError("embedded", `hostBytes: cannot make a folder in ${tmpdir()}`, {
        hint: "Set TMPDIR to a folder that can be written to, or leave hostBytes at 0.",
        cause,
      });
    }
  }

  /** Bytes of the files. */
  get bytes(): number {
    return this.#states.bytes;
  }

  /** Tokens that were loaded instead of computed. */
  get loadedTokens(): number {
    return this.#loadedTokens;
  }

  /** Saves what a sequence holds if that is clearly more than the `resident` tokens of it and than what is saved. */
  async save(sequence: LlamaContextSequence, resident: number): Promise<void> {
    const tokens = sequence.contextTokens;
    if (tokens.length - resident < leastGain || tokens.length >= this.#tooLong) return;
    const known = this.#states.longest(tokens);
    if (known !== undefined && tokens.length - known.length < leastGain) {
      this.#states.touch(known.state);
      return;
    }
    const file = path.join(this.#folder, `${this.#names++}.state`);
    try {
      await sequence.saveStateToFile(file);
      const { size: bytes } = await stat(file);
      if (bytes > this.#states.budget) this.#tooLong = tokens.length;
      await remove(this.#states.add({ file, tokens, bytes }));
    } catch {
      // A full disk, say: what is not saved is computed again.
      await remove([{ file }]);
    }
  }

  /** The saved state that holds clearly more of the first `limit` tokens than the `resident` ones. */
  async find(tokens: readonly number[], resident: number, limit: number): Promise<SavedMatch | undefined> {
    const match = this.#states.longest(tokens);
    if (match === undefined) return undefined;
    const length = Math.min(match.length, limit);
    if (length - resident < leastGain) return undefined;
    const isThere = await stat(match.state.file).then(
      ({ size }) => size === match.state.bytes,
      () => false,
    );
    if (isThere) return { state: match.state, length };
    await this.#forget(match.state);
    return this.find(tokens, resident, limit);
  }

  /** Makes a sequence hold a saved state. False: it cannot be read, and the sequence may hold anything. */
  async load(
    { state, length }: SavedMatch,
    resident: number,
    sequence: LlamaContextSequence,
  ): Promise<boolean> {
    try {
      await sequence.loadStateFromFile(state.file, { acceptRisk: true });
      if (sequence.nextTokenIndex !== state.tokens.length) throw new Error("the file is another state");
    } catch {
      await this.#forget(state);
      return false;
    }
    this.#states.touch(state);
    this.#loadedTokens += length - resident;
    return true;
  }

  /** Drops all states and counts. */
  async clear(): Promise<void> {
    this.#loadedTokens = 0;
    await remove(this.#states.clear());
  }

  /** Removes the folder. */
  async close(): Promise<void> {
    this.#states.clear();
    await rm(this.#folder, { recursive: true, force: true }).catch(() => undefined);
  }

  async #forget(state: SavedState): Promise<void> {
    this.#states.delete(state);
    await remove([state]);
  }
}

/** A file that stays behind goes with the folder. */
async function remove(states: readonly Pick<SavedState, "file">[]): Promise<void> {
  await Promise.allSettled(states.map(({ file }) => rm(file, { force: true })));
}
