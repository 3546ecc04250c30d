import type { Hint, Outcome } from "../runtime/action.ts";

/** One failure may be a restart; so many in a row, with nothing in between that was answered, are not. */
const FAILURES = 3;

/** Whether an engine answers to hints at all. Tells once when it does not; hints go on to be tried. */
export class SideChannel {
  readonly #address: string;
  readonly #warn: (message: string) => void;
  #failures = 0;
  #isTold = false;
  /** Verbs that came to nothing. */
  readonly #verbs = new Set<string>();

  constructor(address: string, warn: (message: string) => void) {
    this.#address = address;
    this.#warn = warn;
  }

  /** What became of hints that went out together. */
  sent(hints: readonly Hint[], outcomes: readonly Outcome[]): void {
    if (this.#isTold) return;
    const failed = outcomes.find(({ status }) => status === "failed");
    if (!failed || outcomes.some(({ status }) => status !== "failed")) {
      // What was withdrawn tells nothing.
      if (outcomes.every(({ status }) => status === "cancelled")) return;
      this.#failures = 0;
      return this.#verbs.clear();
    }
    for (const { type } of hints) this.#verbs.add(type);
    if (++this.#failures < FAILURES) return;
    this.#isTold = true;
    this.#warn(
      `hints to ${this.#address} failed ${FAILURES} times in a row${causeOf(failed)}. ` +
        `Until it takes them again ${[...this.#verbs].join(", ")} are without effect, and requests go on as without cachesage. ` +
        "`cachesage doctor` tells what is missing; hints are still tried, `sage.stats.hints` counts what becomes of them, " +
        "and the ledger has the reasons",
    );
  }
}

/** A status or a system error's code; a server's own words may repeat the prompt, which does not belong in a log. */
function causeOf({ reason = "" }: Outcome): string {
  const [cause] = /\b(?:HTTP|status) \d{3}\b|\bE[A-Z]{4,}\b|no answer in time/.exec(reason) ?? [];
  return cause === undefined ? "" : ` (${cause})`;
}
