import type { AgentId, PromptPart, RequestStartEvent, RunId } from "../runtime/event.ts";
import { kinOf, RECENT_PROMPTS } from "./changed-history.ts";
import { isLookedAt, MAX_AGENTS, VARIANTS } from "./drift-sample.ts";

interface Sent {
  readonly run: RunId;
  readonly anchor: string;
  /** A text for each message, the same for the same one. */
  readonly history: readonly string[];
}

interface Watched {
  /** Latest first. */
  recent: readonly Sent[];
  requests: number;
  /** Hashes of the anchors seen so far, up to one too many. */
  readonly anchors: Set<string>;
  readonly warned: Set<string>;
}

/**
 * The drift warnings for prompts whose text nobody keeps: tells by hashes alone that an agent's prompts do not begin alike,
 * and so which part is at fault but not where in it.
 */
export class ShapeDrift {
  readonly #warn: (message: string) => void;
  readonly #agents = new Map<AgentId, Watched>();

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  observe({ agent, run, prompt: { anchor, history } }: RequestStartEvent): void {
    const sent = { run, anchor: anchor.hash, history: messagesOf(history) };
    const known = this.#agents.get(agent);
    if (!known) {
      if (this.#agents.size >= MAX_AGENTS) return;
      const anchors = new Set([anchor.hash]);
      this.#agents.set(agent, { recent: [sent], requests: 1, anchors, warned: new Set() });
      return;
    }
    const earlier = known.recent;
    known.recent = [sent, ...earlier.slice(0, RECENT_PROMPTS - 1)];
    if (!isLookedAt(++known.requests)) return;
    if (known.anchors.size <= VARIANTS) known.anchors.add(anchor.hash);
    if (known.anchors.size > VARIANTS) {
      this.#tell(
        agent,
        known,
        "its system message or its tools keep changing: a clock, an id, another order?",
      );
      return;
    }
    const own = earlier.filter((one) => one.run === run && one.anchor === anchor.hash);
    const kin = kinOf(own, sent.history, (one) => one.history);
    if (kin?.at === undefined) return;
    this.#tell(
      agent,
      known,
      `message ${kin.at + 1} of ${kin.before.history.length} of its history is another one in its next prompt ` +
        "(trimmed or summarised history, or stripped thinking)",
    );
  }

  #tell(agent: AgentId, { warned }: Watched, what: string): void {
    const [cause = ""] = what.split(" ", 1);
    if (warned.has(cause)) return;
    warned.add(cause);
    this.#warn(
      `agent ${JSON.stringify(agent)}: ${what}; nothing after that point can be reused from cache. ` +
        "With cacheHints on, the warning says where",
    );
  }
}

function messagesOf(history: readonly PromptPart[]): readonly string[] {
  const messages: string[] = [];
  for (const { hash, continues } of history)
    if (continues) messages.push(`${messages.pop() ?? ""} ${hash}`);
    else messages.push(hash);
  return messages;
}
