import type { Host } from "./host.ts";

/** Origins that are told of; an app that makes up addresses is not told of each. */
const MOST = 8;

/** Tells once of each server that model calls go to and that is not the engine: that hints do not reach it is easily not meant. */
export class Elsewhere {
  readonly #host: Pick<Host, "baseURL" | "warn">;
  readonly #told = new Set<string>();

  constructor(host: Pick<Host, "baseURL" | "warn">) {
    this.#host = host;
  }

  /** A model call went there. */
  note({ origin, pathname }: URL): void {
    if (this.#told.has(origin) || this.#told.size >= MOST) return;
    this.#told.add(origin);
    this.#host.warn(
      `a model call went to ${origin}${pathname}, which is not at the engine's address ${this.#host.baseURL}: such calls get no ` +
        "hints. If it is the same server, connect to it by the address that the client uses",
    );
  }
}
