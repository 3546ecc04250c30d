import type { PromptShape } from "../runtime/event.ts";

/** One beginning of a prompt: a node of the tree of all prompts, whose children begin with it. */
interface Beginning {
  readonly id: number;
  /** What the server had computed in all, in tokens, when it last used it; by server. */
  readonly usedAt: Map<string, number>;
}

/** A prompt as the beginnings that it has, the shortest first. */
export interface PromptPath {
  readonly steps: readonly { readonly beginning: Beginning; readonly characters: number }[];
  readonly characters: number;
}

/** A beginning that a server has, or had, in cache. */
interface Known {
  /** Share of the prompt, in [0, 1]. */
  readonly share: number;
  /** Tokens that the server has computed since it last used it. */
  readonly age: number;
}

/** How much of a prompt a server is expected to have in cache. */
export interface Expected extends Known {
  /** A longer beginning that it had, and should have dropped by now. */
  readonly dropped: Known | undefined;
}

interface Server {
  /** Tokens computed so far. */
  computed: number;
  /** What `computed` was when the cache was last emptied. */
  emptiedAt: number;
  /** Tokens computed after which a beginning is taken to be gone. */
  room: number;
}

const NOTHING: Known = { share: 0, age: 0 };
/** A beginning of which less than this was found in cache has gone. */
const FOUND = 0.5;

/**
 * Where prompts were computed: what of a prompt each server should have in cache, by what was sent to it before.
 *
 * A cache of a fixed size that drops what was used longest ago keeps a prefix until about as many tokens as it holds were
 * computed since: so age is counted in tokens computed, not in time, and the room is learned from the cached tokens that
 * servers report, or from their own events.
 */
export class PrefixPlaces {
  readonly #beginnings = new Map<string, Beginning>();
  readonly #servers = new Map<string, Server>();
  readonly #max: number;
  #count = 0;

  /** @param max beginnings remembered; those used longest ago are forgotten first. Default: 50,000. */
  constructor(max = 50_000) {
    this.#max = max;
  }

  /** The beginnings of a prompt: anchor, anchor and first message, and so on. O(messages). */
  path({ anchor, history }: PromptShape): PromptPath {
    let { length: characters } = anchor;
    let beginning = this.#child(0, anchor.hash);
    const steps = [{ beginning, characters }];
    for (const { hash, length } of history) {
      beginning = this.#child(beginning.id, hash);
      characters += length;
      steps.push({ beginning, characters });
    }
    return { steps, characters };
  }

  /** What a server should have of a prompt. */
  expected({ steps, characters: all }: PromptPath, name: string): Expected {
    const server = this.#servers.get(name);
    let dropped: Known | undefined;
    if (!server || all === 0) return { ...NOTHING, dropped };
    for (let at = steps.length - 1; at >= 0; at--) {
      const { beginning, characters } = steps[at] as PromptPath["steps"][number];
      const usedAt = beginning.usedAt.get(name);
      if (usedAt === undefined || usedAt < server.emptiedAt) continue;
      const known = { share: characters / all, age: server.computed - usedAt };
      if (known.age <= server.room) return { ...known, dropped };
      dropped ??= known;
    }
    return { ...NOTHING, dropped };
  }

  /** A prompt is sent to a server, which computes this many tokens of it. */
  sent({ steps }: PromptPath, name: string, tokens: number): void {
    const server = this.#server(name);
    server.computed += tokens;
    for (const { beginning } of steps) beginning.usedAt.set(name, server.computed);
  }

  /** A server has computed this many tokens of an answer. */
  answered(name: string, tokens: number): void {
    this.#server(name).computed += tokens;
  }

  /**
   * What a server found of a prompt in its cache.
   *
   * @param found share of the prompt, in [0, 1].
   * @param underWay tokens that were under way there when it was sent: what is that young may not have been computed yet.
   */
  found(name: string, { share, age, dropped }: Expected, found: number, underWay: number): void {
    const server = this.#server(name);
    if (dropped && found >= dropped.share * FOUND) server.room = Math.max(server.room, dropped.age);
    else if (found < share * FOUND && age > underWay) server.room = Math.min(server.room, age - 1);
  }

  /** The server's cache holds this many tokens. */
  holds(name: string, tokens: number): void {
    this.#server(name).room = tokens;
  }

  /** The server's cache is empty. */
  emptied(name: string): void {
    const server = this.#server(name);
    // What is sent from now on is younger than what was there.
    server.emptiedAt = ++server.computed;
  }

  #server(name: string): Server {
    let server = this.#servers.get(name);
    if (!server)
      this.#servers.set(name, (server = { computed: 0, emptiedAt: 0, room: Number.POSITIVE_INFINITY }));
    return server;
  }

  #child(parent: number, hash: string): Beginning {
    const key = `${parent} ${hash}`;
    const known = this.#beginnings.get(key);
    const beginning = known ?? { id: ++this.#count, usedAt: new Map() };
    // The order of the map is that of last use.
    if (known) this.#beginnings.delete(key);
    this.#beginnings.set(key, beginning);
    if (this.#beginnings.size > this.#max) {
      const oldest = this.#beginnings.keys().next().value;
      if (oldest !== undefined) this.#beginnings.delete(oldest);
    }
    return beginning;
  }
}
