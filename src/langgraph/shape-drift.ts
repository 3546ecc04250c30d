import type { AgentId, PromptPart, RequestStartEvent, RunId } from "../runtime/event.ts";
import { isLookedAt, MAX_AGENTS, VARIANTS } from "./drift-sample.ts";

interface Watched {
  run: RunId;
  history: readonly PromptPart[];
  requests: number;
  /** Hashes of the anchors seen so far, up to one too many. */
  readonly anchors: Set<string>;
  readonly warned: Set<string>;
}

/**
 * The drift warnings for prompts whose text nobody keeps: tells by hashes alone that an agent's prompts do not begin alike,
 * and so which part is at fault but not where in it. A prompt that shares nothing with the one before is a new conversation,
 * and one that parts with it at its last message is a parallel branch: neither is drift.
 */
export class ShapeDrift {
  readonly #warn: (message: string) => void;
  readonly #agents = new Map<AgentId, Watched>();

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  observe({ agent, run, prompt: { anchor, history } }: RequestStartEvent): void {
    const known = this.#agents.get(agent);
    if (!known) {
      if (this.#agents.size >= MAX_AGENTS) return;
      const anchors = new Set([anchor.hash]);
      this.#agents.set(agent, { run, history, requests: 1, anchors, warned: new Set() });
      return;
    }
    const before = { run: known.run, history: known.history };
    known.run = run;
    known.history = history;
    if (!isLookedAt(++known.requests)) return;
    if (known.anchors.size <= VARIANTS) known.anchors.add(anchor.hash);
    if (known.anchors.size > VARIANTS)
      this.#tell(
        agent,
        known,
        "its system message or its tools keep changing: a clock, an id, another order?",
      );
    else if (before.run === run) {
      const at = firstDifference(before.history, history);
      if (at !== undefined)
        this.#tell(
          agent,
          known,
          `message ${at + 1} of ${before.history.length} of its history is another one in its next prompt ` +
            "(trimmed or summarised history, or stripped thinking)",
        );
    }
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

/** Undefined where the second goes on from the first, or is another conversation, or a branch at the first's last message. */
function firstDifference(before: readonly PromptPart[], now: readonly PromptPart[]): number | undefined {
  const at = before.findIndex(({ hash }, index) => hash !== now[index]?.hash);
  if (at < 0 || at === before.length - 1) return undefined;
  const hashes = new Set(now.map(({ hash }) => hash));
  return before.some(({ hash }) => hashes.has(hash)) ? at : undefined;
}
