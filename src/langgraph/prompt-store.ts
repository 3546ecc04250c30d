import { branchName, type PrefixRef } from "../runtime/action.ts";
import type { AgentId, Identity, RunId } from "../runtime/event.ts";
import { charactersOf } from "../runtime/prompt-parts.ts";
import { shapeOf } from "./prompt.ts";

/** Agents, and branches of them, whose anchor is kept; the one unused longest goes first. */
const MAX_AGENTS = 256;
/** Open runs whose prompts are kept. */
const MAX_RUNS = 10_000;
/** Agents of a run whose own prompts are kept. */
const MAX_OWN = 64;
/** Characters of the prompts of runs, some of which never end; of more, the run unused longest goes first. */
const MAX_CHARACTERS = 128_000_000;

interface Message {
  readonly role?: unknown;
}

/** The part of a Chat Completions body that makes up its prompt. */
export interface PromptBody {
  readonly model?: unknown;
  readonly messages: readonly unknown[];
  readonly tools?: unknown;
  /** Where a protocol keeps the system message outside the messages, as Anthropic's does. */
  readonly system?: unknown;
}

/** Bodies are kept as sent and parsed only when a prefetch is composed, off the request path. */
interface Stored {
  readonly agent: AgentId;
  readonly raw: string;
  parsed?: PromptBody | null;
  answer?: string;
}

/** Of an open run: its latest prompt, and the latest one of each branch of an agent that keeps its history to itself. */
interface RunPrompts {
  latest: Stored;
  readonly own: Map<string, Stored>;
  characters: number;
}

/**
 * The latest prompts as text, in memory only, so that a prefetch can be composed: one per agent for its anchor,
 * one per open run for the shared messages, and one per agent of a run where they are not shared. Filled only while hints
 * are on.
 */
export class PromptStore {
  /** By branch of an agent: what it began with in any run. */
  readonly #anchors = new Map<string, Stored>();
  readonly #runs = new Map<RunId, RunPrompts>();
  #characters = 0;
  readonly #isShared: (agent: AgentId) => boolean;
  readonly #leadOf: (agent: AgentId) => number;

  /**
   * @param isShared whether the agent's prompts go on from what the agents before it have said.
   * @param leadOf messages after the system messages with which the agent's prompts begin in every run.
   */
  constructor(isShared: (agent: AgentId) => boolean, leadOf: (agent: AgentId) => number) {
    this.#isShared = isShared;
    this.#leadOf = leadOf;
  }

  request({ agent, run, branch }: PrefixRef & { readonly run: RunId }, raw: string): void {
    const stored: Stored = { agent, raw };
    const name = branchName(agent, branch);
    put(this.#anchors, name, stored, MAX_AGENTS);
    const prompts = this.#runs.get(run) ?? { latest: stored, own: new Map<string, Stored>(), characters: 0 };
    this.end(run);
    prompts.latest = stored;
    if (this.#isShared(agent)) prompts.own.delete(name);
    else put(prompts.own, name, stored, MAX_OWN);
    prompts.characters = raw.length;
    for (const own of prompts.own.values()) if (own !== stored) prompts.characters += own.raw.length;
    this.#characters += prompts.characters;
    this.#runs.set(run, prompts);
    for (const oldest of this.#runs.keys()) {
      if (this.#runs.size <= MAX_RUNS && this.#characters <= MAX_CHARACTERS) break;
      this.end(oldest);
    }
  }

  /** The prompt of an agent's first call, as far as it is known before. */
  introduce(agent: AgentId, raw: string): void {
    if (!this.#anchors.has(agent)) put(this.#anchors, agent, { agent, raw }, MAX_AGENTS);
  }

  answer({ agent, run }: Identity, text: string): void {
    const latest = this.#runs.get(run)?.latest;
    if (latest?.agent === agent) latest.answer = text;
  }

  end(run: RunId): void {
    this.#characters -= this.#runs.get(run)?.characters ?? 0;
    this.#runs.delete(run);
  }

  /**
   * The prompt that the agent's next request in this run is expected to begin with: its own system message and tools, then
   * the run's messages so far, or its own ones where they are not shared; where there are none yet, those of every run. Undefined when nothing of it is known: the agent
   * has not been seen, has no system message, or speaks another API than Chat Completions.
   *
   * @param without leaves out whole messages at the end of the agent's own history that have no more characters than this.
   */
  compose({ agent, run, branch }: PrefixRef, without = 0): PromptBody | undefined {
    const name = branchName(agent, branch);
    const prompts = run === undefined ? undefined : this.#runs.get(run);
    const isShared = this.#isShared(agent);
    const before = isShared ? prompts?.latest : prompts?.own.get(name);
    const anchor = parse(this.#anchors.get(name));
    if (!anchor) return undefined;
    const head = headLength(anchor.messages);
    const history = parse(before);
    // What the run has said so far begins with what every run begins with.
    const lead = history ? 0 : this.#leadOf(agent);
    const messages: unknown[] = anchor.messages.slice(0, head + lead);
    if (history) {
      const said = history.messages.slice(headLength(history.messages));
      const kept = isShared ? said : withoutEnd(said, without);
      messages.push(...kept);
      if (before?.answer && kept.length === said.length)
        messages.push({ role: "assistant", content: before.answer });
    }
    return messages.length > 0 ? { ...anchor, messages } : undefined;
  }
}

function put<K, V>(map: Map<K, V>, key: K, stored: V, limit: number): void {
  map.delete(key);
  if (map.size >= limit) map.delete(map.keys().next().value as K);
  map.set(key, stored);
}

function parse(stored: Stored | undefined): PromptBody | undefined {
  if (!stored) return undefined;
  if (stored.parsed === undefined) stored.parsed = promptOf(stored.raw);
  return stored.parsed ?? undefined;
}

function promptOf(raw: string): PromptBody | null {
  const body: unknown = JSON.parse(raw);
  if (typeof body !== "object" || body === null || !("messages" in body)) return null;
  const { messages, model, tools, system } = body as Partial<PromptBody>;
  if (!Array.isArray(messages)) return null;
  return {
    messages,
    ...(model !== undefined && { model }),
    ...(tools !== undefined && { tools }),
    ...(system !== undefined && { system }),
  };
}

/** All but the last messages, of which all have no more characters than that together. */
function withoutEnd(messages: readonly unknown[], characters: number): readonly unknown[] {
  let left = characters;
  let end = messages.length;
  for (; end > 0; end--) {
    const { anchor, history } = shapeOf([messages[end - 1]], undefined);
    left -= anchor.length + charactersOf(history, history.length);
    if (left < 0) break;
  }
  return messages.slice(0, end);
}

/** Leading system (or developer) messages belong to the anchor. */
function headLength(messages: readonly unknown[]): number {
  const first = messages.findIndex((message) => {
    const role = (message as Message | null)?.role;
    return role !== "system" && role !== "developer";
  });
  return first < 0 ? messages.length : first;
}
