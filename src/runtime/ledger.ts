import type { Action, Settlement } from "./action.ts";
import type { RunId } from "./event.ts";

/** One decision: what a policy wanted, why, and what became of it. */
export interface LedgerEntry {
  /** Counts from 1 over the life of the ledger. */
  readonly id: number;
  readonly at: number;
  readonly policy: string;
  readonly run: RunId;
  /** A verdict stands here without what it hands out: outputs are the application's own. */
  readonly action: Action;
  /** Set when the arbiter dropped it, or once an engine answered. */
  outcome?: Settlement;
}

/** Keeps the newest decisions in a ring, so that its memory is bounded. */
export class Ledger {
  readonly #entries: (LedgerEntry | undefined)[];
  #count = 0;

  /** @param capacity entries kept; default 4096. */
  constructor(capacity = 4096) {
    this.#entries = Array.from({ length: capacity });
  }

  /** Decisions ever recorded. */
  get count(): number {
    return this.#count;
  }

  record(at: number, policy: string, run: RunId, action: Action): LedgerEntry {
    const entry: LedgerEntry = { id: ++this.#count, at, policy, run, action };
    this.#entries[this.#count % this.#entries.length] = entry;
    return entry;
  }

  /** Notes what an engine did with an action that was recorded here, and returns its entry; ignores actions it never saw. */
  settle(action: Action, outcome: Settlement): LedgerEntry | undefined {
    // Engines answer soon, so that it is among the newest; no index has to be kept while decisions are made.
    const size = this.#entries.length;
    for (let id = this.#count; id > 0 && id > this.#count - size; id--) {
      const entry = this.#entries[id % size];
      if (entry?.action !== action) continue;
      entry.outcome = outcome;
      return entry;
    }
    return undefined;
  }

  /** Newest first. */
  *[Symbol.iterator](): Generator<LedgerEntry> {
    const size = this.#entries.length;
    for (let id = this.#count; id > 0 && id > this.#count - size; id--) {
      const entry = this.#entries[id % size];
      if (entry) yield entry;
    }
  }
}
