import type { AgentId, PromptPart, PromptShape, RunId, SessionId } from "../runtime/event.ts";
import { Newest } from "../runtime/newest.ts";
import { Recency, type Listed } from "./recency.ts";

/** A part of a prompt in cache, below the parts that came before it; sizes are characters. */
interface Node extends Listed {
  readonly parent: Node | undefined;
  key: string;
  size: number;
  /** Characters of it in cache, from its start. */
  held: number;
  /** Prompts of open runs that it is part of. */
  holders: number;
  readonly children: Map<string, Node>;
}

/** Prompts of a run that it may come back to, by agent. */
type Prompts = Map<AgentId, Node[]>;

const MAX_RUNS = 10_000;
const MAX_PAUSED = 1024;
/** Agents of a run, or of all runs of a thread, that it may come back to. */
const MAX_AGENTS = 256;

/**
 * What a prefix cache of the same size would hit on the same requests if it followed another rule; it acts on nothing.
 *
 * Sees what cachesage sees of prompts: hashes and lengths of their parts. A part is given up from its end, so that it is as
 * exact as a cache of tokens; what is lost to the engine's block size, and what is shared within two different parts, is
 * not counted. Answers count as cached until the next prompt of their run, as engines have it.
 */
export class ShadowCache {
  readonly #releasesEnded: boolean;
  readonly #root: Node = node(undefined, "", 0);
  readonly #held = new Recency<Node>();
  /** Of ended runs only: goes first. */
  readonly #free = new Recency<Node>();
  readonly #runs = new Newest<RunId, Prompts>(MAX_RUNS, (prompts) => this.#release(prompts));
  /** Ended runs whose session may go on. */
  readonly #paused = new Newest<SessionId, Prompts>(MAX_PAUSED, (prompts) => this.#release(prompts));
  #resident = 0;
  #wasFull = false;

  /** @param releasesEnded whether what only ended runs have used goes first; else it is plain LRU, tail first. */
  constructor(releasesEnded: boolean) {
    this.#releasesEnded = releasesEnded;
  }

  /** Characters in cache. */
  get resident(): number {
    return this.#resident;
  }

  /** Whether it has had to give anything up: before that a cache that was used earlier may hold more. */
  get wasFull(): boolean {
    return this.#wasFull;
  }

  started(run: RunId, session: SessionId | undefined): void {
    const prompts = session === undefined ? undefined : this.#paused.get(session);
    if (session === undefined || !prompts) return;
    this.#paused.delete(session);
    this.#runs.set(run, prompts);
  }

  /** @returns characters of the prompt found in cache. @param capacity of the cache, in characters. */
  request(run: RunId, agent: AgentId, prompt: PromptShape, capacity: number): number {
    const path: Node[] = [];
    let hits = 0;
    let isContiguous = true;
    let at = this.#root;
    const visit = (part: PromptPart) => {
      if (part.length === 0) return;
      at = this.#child(at, part, run);
      if (isContiguous) hits += at.held;
      isContiguous &&= at.held === at.size;
      path.push(at);
    };
    visit(prompt.anchor);
    for (const part of prompt.history) visit(part);
    for (const used of path) {
      this.#resident += used.size - used.held;
      used.held = used.size;
    }
    this.#hold(run, agent, path);
    // The head is the last to be used, so that a prompt is given up from its tail.
    for (let i = path.length - 1; i >= 0; i--) this.#listOf(path[i] as Node).use(path[i] as Node);
    this.#fit(capacity);
    return hits;
  }

  /** The answer to a run's latest prompt of an agent is in cache as well. @param length characters. */
  answered(run: RunId, agent: AgentId, length: number): void {
    const path = this.#runs.get(run)?.get(agent);
    const leaf = path?.at(-1);
    if (!path || !leaf || leaf.held < leaf.size || length <= 0) return;
    const key = answerKey(run);
    if (leaf.children.has(key)) return;
    const answer = node(leaf, key, Math.round(length));
    answer.held = answer.size;
    answer.holders = 1;
    leaf.children.set(key, answer);
    path.push(answer);
    this.#resident += answer.size;
    this.#held.use(answer);
    for (let parent: Node | undefined = leaf; parent !== undefined; parent = parent.parent)
      if (parent !== this.#root) this.#listOf(parent).use(parent);
  }

  ended(run: RunId, session: SessionId | undefined): void {
    const prompts = this.#runs.get(run);
    if (!prompts) return;
    this.#runs.delete(run);
    if (session === undefined) return this.#release(prompts);
    const earlier = this.#paused.get(session);
    if (earlier) this.#release(earlier);
    this.#paused.set(session, prompts);
  }

  #child(parent: Node, part: PromptPart, run: RunId): Node {
    const known = parent.children.get(part.hash);
    if (known) return known;
    const answer = parent.children.get(answerKey(run));
    if (!answer) {
      const child = node(parent, part.hash, part.length);
      parent.children.set(part.hash, child);
      return child;
    }
    // What comes after a prompt of the run is taken to be the answer to it.
    parent.children.delete(answer.key);
    answer.key = part.hash;
    answer.size = part.length;
    this.#resident += Math.min(0, answer.size - answer.held);
    answer.held = Math.min(answer.held, answer.size);
    parent.children.set(part.hash, answer);
    return answer;
  }

  #hold(run: RunId, agent: AgentId, path: Node[]): void {
    let prompts = this.#runs.get(run);
    if (!prompts) this.#runs.set(run, (prompts = new Newest(MAX_AGENTS, (gone) => this.#drop(gone))));
    for (const used of path) used.holders++;
    const earlier = prompts.get(agent);
    prompts.set(agent, path);
    if (earlier) this.#drop(earlier);
  }

  #release(prompts: Prompts): void {
    for (const path of prompts.values()) this.#drop(path);
  }

  /** From the tail, so that it is the first to go. */
  #drop(path: readonly Node[]): void {
    for (let i = path.length - 1; i >= 0; i--) {
      const dropped = path[i] as Node;
      dropped.holders--;
      if (dropped.holders > 0 || dropped.held === 0 || !this.#releasesEnded) continue;
      this.#held.remove(dropped);
      this.#free.use(dropped);
    }
  }

  #listOf(used: Node): Recency<Node> {
    if (used.holders > 0 || !this.#releasesEnded) {
      this.#free.remove(used);
      return this.#held;
    }
    return this.#free;
  }

  #fit(capacity: number): void {
    while (this.#resident > capacity) {
      this.#wasFull = true;
      const list = this.#free.oldest ? this.#free : this.#held;
      const { oldest } = list;
      if (!oldest) return;
      const given = Math.min(oldest.held, this.#resident - Math.max(0, capacity));
      oldest.held -= given;
      this.#resident -= given;
      if (oldest.held > 0) return;
      list.remove(oldest);
      oldest.parent?.children.delete(oldest.key);
    }
  }
}

function node(parent: Node | undefined, key: string, size: number): Node {
  return {
    parent,
    key,
    size,
    held: 0,
    holders: 0,
    children: new Map(),
    list: undefined,
    older: undefined,
    newer: undefined,
  };
}

function answerKey(run: RunId): string {
  return `answer/${run}`;
}
