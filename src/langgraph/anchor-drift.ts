import type { AgentId, Identity, RunId } from "../runtime/event.ts";
import {
  changedMessage,
  compareAnchors,
  type Difference,
  parseBody,
  type ParsedBody,
} from "./body-difference.ts";
import { kinOf, RECENT_PROMPTS } from "./changed-history.ts";
import { isLookedAt, MAX_AGENTS, VARIANTS } from "./drift-sample.ts";

export interface AnchorDriftParts {
  warn(message: string): void;
  /** Token ids of a body's prompt, where the engine tells them. */
  tokenize?(body: unknown): Promise<readonly number[]>;
}

interface Sent {
  readonly raw: string;
  readonly run: RunId;
  /** What goes on with the same history: a session, or a run without one. */
  readonly thread: string;
}

interface Watched {
  /** Latest first. */
  recent: readonly Sent[];
  requests: number;
  /** System messages seen so far, up to one too many: one that keeps changing is a fault, a few variants are not. */
  readonly systems: Set<string>;
  isRendered: boolean;
}

/** Tokens at the end of a prompt that the next one may render in another way. */
const OPEN_END = 8;

/**
 * Warns once when an agent's prompts do not begin alike although they could: a clock or an id in the system message, tools in
 * another order, earlier messages that change. That costs more cache hits than any policy wins. Looks at prompts after they
 * were sent, and at a sample of them; keeps each agent's latest prompts in memory.
 */
export class AnchorDrift {
  readonly #parts: AnchorDriftParts;
  readonly #agents = new Map<AgentId, Watched>();
  readonly #warned = new Set<string>();

  constructor(parts: AnchorDriftParts) {
    this.#parts = parts;
  }

  /** Takes note of a request on its way out; looks at it later. */
  request({ agent, run, session }: Identity, raw: string): void {
    const sent = { raw, run, thread: session ?? run };
    const known = this.#agents.get(agent);
    if (!known) {
      if (this.#agents.size >= MAX_AGENTS) return;
      const systems = new Set([parseSystem(raw)]);
      this.#agents.set(agent, { recent: [sent], requests: 1, systems, isRendered: false });
      return;
    }
    const earlier = known.recent;
    known.recent = [sent, ...earlier.slice(0, RECENT_PROMPTS - 1)];
    if (!isLookedAt(++known.requests)) return;
    setImmediate(() => void this.#compare(agent, known, earlier, sent).catch(() => {}));
  }

  async #compare(agent: AgentId, known: Watched, earlier: readonly Sent[], sent: Sent): Promise<void> {
    const now = parseBody(sent.raw);
    if (!now) return;
    if (known.systems.size <= VARIANTS) known.systems.add(now.system);
    const sameThread = ({ thread }: Sent) => thread === sent.thread;
    for (const one of new Set([...earlier.slice(0, 1), ...earlier.filter(sameThread).slice(0, 1)])) {
      const before = parseBody(one.raw);
      const difference = before && compareAnchors(before, now);
      if (!before || !difference) continue;
      if (difference.cause === "system" && known.systems.size <= VARIANTS) return;
      // What another thread's system message ends with costs nothing: the history after it is another one anyway.
      if (difference.isEnd && !sameThread(one)) continue;
      return this.#tell(agent, difference, before, now);
    }
    const own = earlier
      .filter(({ run }) => run === sent.run)
      .flatMap(({ raw }) => parseBody(raw) ?? [])
      .filter((body) => !compareAnchors(body, now));
    const kin = kinOf(own, now.messages, ({ messages }) => messages);
    if (!kin) return;
    if (kin.at !== undefined)
      return this.#tell(agent, changedMessage(kin.before, now, kin.at), kin.before, now);
    if (!known.isRendered) await this.#compareRendered(agent, known, kin.before, now);
  }

  /** The messages are the same, but the server's template may still render them in another way. */
  async #compareRendered(agent: AgentId, known: Watched, before: ParsedBody, now: ParsedBody): Promise<void> {
    if (!this.#parts.tokenize) return;
    known.isRendered = true;
    const tokens = await this.#parts.tokenize(before.body);
    const at = firstDifference(tokens, await this.#parts.tokenize(now.body));
    if (at >= tokens.length - OPEN_END) return;
    this.#warnOnce(
      agent,
      "template",
      `the server's template renders earlier messages in another way from token ${at} of ${tokens.length} on ` +
        "(stripped thinking, or a date that it adds)",
    );
  }

  async #tell(agent: AgentId, difference: Difference, before: ParsedBody, now: ParsedBody): Promise<void> {
    const where = `${difference.words}${await this.#tokenOf(before, now)}`;
    this.#warnOnce(agent, difference.cause, where);
  }

  async #tokenOf(before: ParsedBody, now: ParsedBody): Promise<string> {
    try {
      const tokens = await this.#parts.tokenize?.(before.body);
      const others = await this.#parts.tokenize?.(now.body);
      return tokens && others ? ` (token ${firstDifference(tokens, others)} of ${tokens.length})` : "";
    } catch {
      return "";
    }
  }

  #warnOnce(agent: AgentId, cause: string, what: string): void {
    const key = `${cause} ${agent}`;
    if (this.#warned.has(key)) return;
    this.#warned.add(key);
    this.#parts.warn(
      `agent ${JSON.stringify(agent)}: ${what}; nothing after that point can be reused from cache`,
    );
  }
}

function parseSystem(raw: string): string {
  try {
    return parseBody(raw)?.system ?? "";
  } catch {
    return "";
  }
}

function firstDifference(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((token, index) => token !== b[index]);
  return at < 0 ? a.length : at;
}
