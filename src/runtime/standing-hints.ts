import type { Advice, Hint, RetainHint } from "./action.ts";
import type { AgentId, Identity, RunId } from "./event.ts";

/** The latest word on each prefix, so that a request can carry it. */
export class StandingHints {
  /** By run (undefined: anchors) and agent: many are noted for each one that is asked for, and no name is put together. */
  readonly #retained = new Map<RunId | undefined, Map<AgentId, RetainHint>>();

  note(hints: readonly Advice[]): void {
    for (const hint of hints)
      if (hint.type === "retain") this.#retain(hint);
      else if (hint.type === "release") this.#release(hint.prefix.run, hint.prefix.agent);
  }

  /** Those on the prefix that a request of this agent uses, and on its anchor. */
  of({ agent, run }: Identity): readonly Hint[] {
    return [run, undefined].flatMap((owner) => this.#retained.get(owner)?.get(agent) ?? []);
  }

  #retain(hint: RetainHint): void {
    const { agent, run } = hint.prefix;
    const known = this.#retained.get(run);
    if (known) known.set(agent, hint);
    else this.#retained.set(run, new Map([[agent, hint]]));
  }

  #release(run: RunId | undefined, agent: AgentId): void {
    const known = this.#retained.get(run);
    if (known?.delete(agent) && known.size === 0) this.#retained.delete(run);
  }
}
