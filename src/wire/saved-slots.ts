import { z } from "zod";
import { type PrefixRef, prefixId } from "../runtime/action.ts";
import type { EngineHttp } from "./engine-http.ts";

const restored = z.object({ n_restored: z.int() });
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
    // Servers of one machine may share a folder.
    const { port, protocol } = new URL(http.root);
    const server = port === "" ? protocol.replace(":", "") : port;
    this.#free = Array.from({ length: limit }, (_, index) => `cachesage-${server}-${index}.bin`);
  }

  /** Saves a slot as this prefix. A server that cannot leaves it unsaved; nothing is thrown. */
  async save(prefix: PrefixRef, slot: number): Promise<boolean> {
    this.forget(prefix);
    const [oldest] = this.#files;
    const file = this.#free.pop() ?? oldest?.[1];
    if (file === undefined) return false;
    if (oldest?.[1] === file) this.#files.delete(oldest[0]);
    const isSaved = (await this.#act(slot, "save", file)) !== undefined;
    if (isSaved) this.#files.set(prefixId(prefix), file);
    else this.#free.push(file);
    return isSaved;
  }

  /** Puts a saved prefix into a slot; resolves with its tokens, 0 when there is none. */
  async restore(prefix: PrefixRef, slot: number): Promise<number> {
    const file = this.#files.get(prefixId(prefix));
    if (file === undefined) return 0;
    const answer = restored.safeParse(await this.#act(slot, "restore", file));
    this.forget(prefix);
    return answer.data?.n_restored ?? 0;
  }

  forget(prefix: PrefixRef): void {
    const id = prefixId(prefix);
    const file = this.#files.get(id);
    if (file !== undefined && this.#files.delete(id)) this.#free.push(file);
  }

  /** Undefined when the server could not. */
  async #act(slot: number, action: string, filename: string): Promise<unknown> {
    const request = { body: { filename }, signal: AbortSignal.timeout(PATIENCE_MS) };
    return this.#http.json(`/slots/${slot}?action=${action}`, request).catch(() => undefined);
  }
}
