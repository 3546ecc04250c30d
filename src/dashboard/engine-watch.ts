import type { EngineAdapter, EngineStatus } from "../runtime/engine.ts";

/** How an engine is, as far as can be told. */
export interface EngineHealth {
  /** unknown: it was not asked yet, or cannot be asked and has not answered a request. */
  readonly state: "up" | "down" | "unknown";
  readonly canBeAsked: boolean;
  /** Milliseconds that its latest answer took. */
  readonly answerMs: number | undefined;
  /** Milliseconds on the clock: when it last answered, and since when it does not. */
  readonly answeredAt: number | undefined;
  readonly downSince: number | undefined;
  /** Kind of the last failure: an error's code or name, never its text. */
  readonly failure: string | undefined;
  readonly status: EngineStatus | undefined;
}

export interface EngineWatchParts {
  readonly adapter: Pick<EngineAdapter, "status">;
  readonly now: () => number;
  readonly onStatus: (status: EngineStatus) => void;
  readonly everyMs: number;
}

const TIMEOUT_MS = 2000;
/** Requests that failed in a row after which an engine that cannot be asked counts as down. */
const FAILED_IN_A_ROW = 3;

/** Asks an engine how it is, off the request path; where that is not possible, judges by its requests. */
export class EngineWatch {
  readonly #parts: EngineWatchParts;
  /** One for each question: `AbortSignal.any` would leave something behind in a signal that lives long, each time. */
  #asking: AbortController | undefined;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;
  #answerMs: number | undefined;
  #answeredAt: number | undefined;
  #downSince: number | undefined;
  #failure: string | undefined;
  #status: EngineStatus | undefined;
  #failed = 0;

  constructor(parts: EngineWatchParts) {
    this.#parts = parts;
    if (parts.adapter.status) void this.#ask();
  }

  get health(): EngineHealth {
    const isUp = this.#answeredAt !== undefined;
    return {
      state: this.#downSince !== undefined ? "down" : isUp ? "up" : "unknown",
      canBeAsked: this.#parts.adapter.status !== undefined,
      answerMs: this.#answerMs,
      answeredAt: this.#answeredAt,
      downSince: this.#downSince,
      failure: this.#failure,
      status: this.#status,
    };
  }

  /** A request has ended. */
  requestEnded(isAnswered: boolean): void {
    if (this.#parts.adapter.status) return;
    this.#failed = isAnswered ? 0 : this.#failed + 1;
    if (isAnswered) this.#up();
    else if (this.#failed >= FAILED_IN_A_ROW) this.#down("requests fail");
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#asking?.abort();
  }

  async #ask(): Promise<void> {
    const { adapter, now, onStatus, everyMs } = this.#parts;
    const asking = (this.#asking = new AbortController());
    const late = new DOMException("no answer in time", "TimeoutError");
    const timeout = setTimeout(() => asking.abort(late), TIMEOUT_MS).unref();
    const asked = now();
    try {
      this.#status = await adapter.status?.(asking.signal);
      this.#answerMs = now() - asked;
      this.#up();
      if (this.#status) onStatus(this.#status);
    } catch (error) {
      this.#status = undefined;
      this.#down(kindOf(error));
    }
    clearTimeout(timeout);
    if (!this.#isStopped) this.#timer = setTimeout(() => void this.#ask(), everyMs).unref();
  }

  #up(): void {
    this.#answeredAt = this.#parts.now();
    this.#downSince = undefined;
    this.#failure = undefined;
  }

  #down(failure: string): void {
    this.#downSince ??= this.#parts.now();
    this.#failure = failure;
  }
}

function kindOf(error: unknown): string {
  const { code, name } = error as { readonly code?: unknown; readonly name?: unknown };
  return typeof code === "string" ? code : typeof name === "string" ? name : "error";
}
