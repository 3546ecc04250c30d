import { type PrefixRef, prefixId } from "../runtime/action.ts";
import type { EngineHttp } from "./engine-http.ts";

/** Milliseconds after which a slot that is being saved or restored is given up. */
const PATIENCE_MS = 20_000;

/**
 * Slots of a llama-server kept as files beside it, at most `limit` of them. The server has no verb that deletes a file,
 * so a fixed set of names is used in turn.
 */
export class SavedSlots {
  readonly #http: EngineHttp;
  readonly #files = new Map<string, string>();
  readonly #free: string[];

  constructor(http: EngineHttp, limit: number) {
    this.#http = http;
    this.#free = Array.from({ length: limit }, (_, index) => `cachesage-${index}.bin`);
  }

  /** Saves a slot as this prefix. A server that cannot leaves it unsaved; nothing is thrown. */
  async save(prefix: PrefixRef, slot: number): Promise<boolean> {
    this.forget(prefix);
    const [oldest] = this.#files;
    const file = this.#free.pop() ?? oldest?.[1];
    if (file === undefined) return false;
    if (oldest?.[1] === file) this.#files.delete(oldest[0]);
    const isSaved = await this.#act(slot, "save", file);
    if (isSaved) this.#files.set(prefixId(prefix), file);
    else this.#free.push(file);
    return isSaved;
  }

  /** Puts a saved prefix into a slot; false when there is none. */
  async restore(prefix: PrefixRef, slot: number): Promise<boolean> {
    const file = this.#files.get(prefixId(prefix));
    if (file === undefined) return false;
    const isRestored = await this.#act(slot, "restore", file);
    this.forget(prefix);
    return isRestored;
  }

  forget(prefix: PrefixRef): void {
    const id = prefixId(prefix);
    const file = this.#files.get(id);
    if (file !== undefined && this.#files.delete(id)) this.#free.push(file);
  }

  async #act(slot: number, action: string, filename: string): Promise<boolean> {
    const request = { body: { filename }, signal: AbortSignal.timeout(PATIENCE_MS) };
    return this.#http.json(`/slots/${slot}?action=${action}`, request).then(
      () => true,
      () => false,
    );
  }
}
