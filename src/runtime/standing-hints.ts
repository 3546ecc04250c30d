import { type Advice, branchName, type Hint, type PrefixRef, type RetainHint } from "./action.ts";
import type { OutgoingCall } from "./engine.ts";
import type { RunId } from "./event.ts";

/** The latest word on each prefix, so that a request can carry it. */
export class StandingHints {
  /** By run (undefined: anchors) and branch: many are noted for each one that is asked for, and hardly a name is put together. */
  readonly #retained = new Map<RunId | undefined, Map<string, RetainHint>>();

  note(hints: readonly Advice[]): void {
    for (const hint of hints)
      if (hint.type === "retain") this.#retain(hint);
      else if (hint.type === "release") this.#release(hint.prefix);
  }

  /** Those on the prefix that a call uses, and on its agent's anchor. */
  of({ identity: { agent, run }, branch }: Pick<OutgoingCall, "identity" | "branch">): readonly Hint[] {
    const own = this.#retained.get(run)?.get(branchName(agent, branch));
    const anchor = this.#retained.get(undefined)?.get(agent);
    return [own, anchor].filter((hint) => hint !== undefined);
  }

  #retain(hint: RetainHint): void {
    const { agent, run, branch } = hint.prefix;
    const name = branchName(agent, branch);
    const known = this.#retained.get(run);
    if (known) known.set(name, hint);
    else this.#retained.set(run, new Map([[name, hint]]));
  }

  #release({ agent, run, branch }: PrefixRef): void {
    const known = this.#retained.get(run);
    if (known?.delete(branchName(agent, branch)) && known.size === 0) this.#retained.delete(run);
  }
}
