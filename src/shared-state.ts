import { createHash, randomUUID } from "node:crypto";
import { z } from "zod";
import { problemOf } from "./errors.ts";
import { countsOf, stateOf } from "./learn/exchange.ts";
import { LearnedPredictor } from "./learn/predictor.ts";
import { type PolicyStates, savedPolicies } from "./policy-states.ts";
import type { Event } from "./runtime/event.ts";
import type { Batch, Store, StoredCounts } from "./runtime/store.ts";

/** Options that decide where learned state is kept. */
export const sharedStateOptions = {
  store: z
    .custom<Store>(isStore, "expected a Store: namespace, add, load and reset")
    .optional()
    .describe("Keeps what is learned, over restarts and processes."),
  storeEveryMs: z.int().positive().default(5000).describe("Milliseconds between two exchanges with it."),
};

export interface SharedStateParts {
  readonly store: Store;
  /** Learns what others counted. */
  readonly predictor: LearnedPredictor;
  /** Keep theirs there as well: the latest stands. */
  readonly policies?: Pick<PolicyStates, "snapshot" | "restore">;
  /** Milliseconds between two exchanges with the store. */
  readonly everyMs: number;
  /** Names the engine: prefetches for another one are none of ours. */
  readonly engine: string;
  readonly onFault: (error: unknown) => void;
  /** One line for the user, when exchanges begin to fail. */
  readonly warn: (message: string) => void;
}

/** How the exchange with a store goes. */
export interface SharedStateStats {
  readonly store: string;
  /** Batches of counts that the store has taken. */
  readonly batches: number;
  /** Counts that wait to be sent. */
  readonly waiting: number;
  /** Exchanges that failed; what they were to send is sent with a later one. */
  readonly failures: number;
}

/** Model calls counted at once: so few that no count fades, and few are rounded, before it is handed on. */
const CALLS_AT_ONCE = 96;
/** Counts that wait while a store is down; of more, those seen most rarely go, the oldest first. */
const MOST_WAITING = 16_384;
/** Milliseconds that connecting waits for what others have learned, and that closing waits for the last exchange. */
const PATIENCE_MS = 2_000;
/** Milliseconds for which a prefetch is one process's to send. */
const LEASE_MS = 5_000;
/** Milliseconds that a prefetch waits to know whether it is ours. */
const LEASE_PATIENCE_MS = 50;
/** Under which a store keeps the states of policies. */
export const POLICIES = "policies";
/** Totals are sums of fractions. */
const ROUNDING = 1e-6;

/**
 * Learns as one with other processes, and with those that were before: counts what happens, hands it to a store from time to
 * time, and hands on what others brought there.
 *
 * It counts apart from the predictor, whose own counts fade: only what was counted since the last exchange is sent, so that
 * nothing is counted twice. All of it happens off the request path, and a store that is down, slow or broken delays it only.
 */
export class SharedState {
  readonly #parts: SharedStateParts;
  readonly #counter = new LearnedPredictor({ forgets: false });
  readonly #writer = randomUUID();
  readonly #events: Event[] = [];
  /** Counted, and not in a batch yet. */
  #waiting = new Map<string, number>();
  /** On its way, until the store has it for certain. */
  #batch: Batch | undefined;
  #sequence = 0;
  /** Totals at the last exchange; what was sent since is in `#sent`. */
  #seen: StoredCounts | undefined;
  readonly #sent = new Map<string, number>();
  /** States of policies as the store has them; undefined before it was asked. */
  #saved: string | undefined;
  #exchanging: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #calls = 0;
  #batches = 0;
  #failures = 0;
  #isFailing = false;
  /** Ids of prefetches that are ours, and until when. */
  readonly #leases = new Map<string, number>();

  constructor(parts: SharedStateParts) {
    this.#parts = parts;
  }

  /** Undefined without a store. */
  static of(
    { store, storeEveryMs }: { readonly store?: Store | undefined; readonly storeEveryMs: number },
    parts: Omit<SharedStateParts, "store" | "everyMs">,
  ): SharedState | undefined {
    return store && new SharedState({ ...parts, store, everyMs: storeEveryMs });
  }

  get stats(): SharedStateStats {
    const waiting = this.#waiting.size + (this.#batch?.counts.size ?? 0);
    const { store } = this.#parts;
    return { store: store.name, batches: this.#batches, waiting, failures: this.#failures };
  }

  /** Resolves when the state is loaded, or when that takes too long; it then follows with a later exchange. */
  async start(): Promise<void> {
    this.#timer = setInterval(() => void this.exchange(), this.#parts.everyMs).unref();
    await within(PATIENCE_MS, this.exchange(), undefined);
  }

  /** Takes one event in; it is counted later. */
  observe(event: Event): void {
    if (this.#events.push(event) === 1) setImmediate(() => this.#count());
  }

  /** Sends what was counted, and learns what others have sent. Never rejects. */
  async exchange(): Promise<void> {
    await (this.#exchanging ??= this.#contained().finally(() => (this.#exchanging = undefined)));
  }

  /** False when another process is sending the same request just now, or has done so. */
  async mayPrefetch(body: unknown): Promise<boolean> {
    const { store, engine } = this.#parts;
    if (!store.lease) return true;
    const id = createHash("sha256")
      .update(JSON.stringify([engine, body]))
      .digest("base64url");
    const now = performance.now();
    for (const [own, end] of this.#leases) if (end <= now) this.#leases.delete(own);
    if (this.#leases.has(id)) return true;
    const isOurs = await within(LEASE_PATIENCE_MS, store.lease(id, LEASE_MS), true).catch(() => true);
    if (isOurs) this.#leases.set(id, now + LEASE_MS);
    return isOurs;
  }

  /** Sends what is left, for a while. Idempotent; the store stays open, since it is its owner's. */
  async close(): Promise<void> {
    if (!this.#timer) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    await within(
      PATIENCE_MS,
      this.exchange().then(() => this.exchange()),
      undefined,
    );
  }

  async #contained(): Promise<void> {
    try {
      this.#count();
      this.#take();
      await this.#send();
      const loaded = await this.#parts.store.load(this.#seen?.version);
      if (loaded) this.#receive(loaded);
      await this.#savePolicies();
      this.#isFailing = false;
    } catch (error) {
      this.#failures++;
      this.#parts.onFault(error);
      if (!this.#isFailing)
        this.#parts.warn(
          `${problemOf(error)}; what is learned waits in this process until its store answers`,
        );
      this.#isFailing = true;
    }
  }

  #count(): void {
    for (const event of this.#events.splice(0)) {
      try {
        this.#counter.observe(event);
        if (event.type === "request-start" && ++this.#calls >= CALLS_AT_ONCE) this.#take();
      } catch (error) {
        this.#parts.onFault(error);
      }
    }
  }

  #take(): void {
    this.#calls = 0;
    for (const [name, count] of countsOf(this.#counter.take())) add(this.#waiting, name, count);
    for (let least = 2; this.#waiting.size > MOST_WAITING; least *= 2)
      for (const [name, count] of this.#waiting)
        if (this.#waiting.size > MOST_WAITING && count < least) this.#waiting.delete(name);
  }

  async #send(): Promise<void> {
    if (!this.#batch && this.#waiting.size > 0) {
      this.#batch = { writer: this.#writer, sequence: ++this.#sequence, counts: this.#waiting };
      this.#waiting = new Map();
    }
    if (!this.#batch) return;
    await this.#parts.store.add(this.#batch);
    for (const [name, count] of this.#batch.counts) add(this.#sent, name, count);
    this.#batch = undefined;
    this.#batches++;
  }

  /** Gives policies their state at first, and from then on saves it when it has changed. */
  async #savePolicies(): Promise<void> {
    const { store, policies } = this.#parts;
    if (!policies || !store.get || !store.put) return;
    if (this.#saved === undefined) {
      const text = (await store.get(POLICIES)) ?? "";
      if (text !== "") policies.restore(jsonOf(text));
      this.#saved = text;
    }
    const { version, states } = policies.snapshot();
    // Other processes may have policies at work that this one has not.
    const text = JSON.stringify({
      version,
      states: { ...savedPolicies(jsonOf(this.#saved))?.states, ...states },
    });
    if (text === this.#saved || (this.#saved === "" && Object.keys(states).length === 0)) return;
    await store.put(POLICIES, text);
    this.#saved = text;
  }

  #receive(loaded: StoredCounts): void {
    const seen = this.#seen;
    // After a reset, or when counts were halved, differences say nothing.
    if (seen === undefined || seen.epoch === loaded.epoch) {
      const news = new Map<string, number>();
      for (const [name, total] of loaded.counts) {
        const more = total - (seen?.counts.get(name) ?? 0) - (this.#sent.get(name) ?? 0);
        if (more > ROUNDING) news.set(name, more);
      }
      if (news.size > 0) this.#parts.predictor.restore(stateOf(news));
    }
    this.#seen = loaded;
    this.#sent.clear();
  }
}

function add(counts: Map<string, number>, name: string, count: number): void {
  counts.set(name, (counts.get(name) ?? 0) + count);
}

/** Null when it is none. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isStore(value: unknown): boolean {
  const store = value as Partial<Store> | null;
  const methods = [store?.add, store?.load, store?.reset];
  return typeof store?.namespace === "object" && methods.every((method) => typeof method === "function");
}

async function within<T>(milliseconds: number, result: Promise<T>, otherwise: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<T>((resolve) => (timer = setTimeout(() => resolve(otherwise), milliseconds)));
  try {
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}
