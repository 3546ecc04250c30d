import { randomUUID } from "node:crypto";
import type { z } from "zod";
import { parseOptions } from "../options.ts";
import { namespaceOptions } from "../runtime/namespace.ts";
import type { Batch, Namespace, Store, StoredCounts } from "../runtime/store.ts";
import { Totals } from "../runtime/totals.ts";

/** Keeps learned state in this process: for several connections that learn as one, and for tests. */
export class MemoryStore implements Store {
  readonly name = "memory";
  readonly namespace: Namespace;
  readonly #totals = new Totals(randomUUID);
  /** By id, when each lease ends. */
  readonly #leases = new Map<string, number>();
  readonly #texts = new Map<string, string>();

  /** @throws InvalidOptionsError. */
  constructor(options: z.input<typeof namespaceOptions> = {}) {
    this.namespace = parseOptions("store memory", namespaceOptions, options);
  }

  async add(batch: Batch): Promise<void> {
    this.#totals.add(batch);
  }

  async load(version?: string): Promise<StoredCounts | undefined> {
    return this.#totals.read(version);
  }

  async reset(): Promise<void> {
    this.#totals.reset();
    this.#texts.clear();
  }

  async put(name: string, text: string): Promise<void> {
    this.#texts.set(name, text);
  }

  async get(name: string): Promise<string | undefined> {
    return this.#texts.get(name);
  }

  async lease(id: string, milliseconds: number): Promise<boolean> {
    const now = performance.now();
    for (const [taken, end] of this.#leases) if (end <= now) this.#leases.delete(taken);
    if (this.#leases.has(id)) return false;
    this.#leases.set(id, now + milliseconds);
    return true;
  }

  async close(): Promise<void> {}
}
