/** One model call as the client saw it. */
export interface CallRecord {
  readonly agent: string;
  /** Send to first token, on the client's clock. */
  readonly ttftMs: number;
  readonly promptTokens: number;
  /** Undefined when the engine did not report it. */
  readonly cachedTokens: number | undefined;
}

/** Everything measured while one arm ran. */
export class CallLog {
  readonly calls: CallRecord[] = [];
  readonly runMs: number[] = [];
  /** Model answers that differed from the one pinned for that call. */
  differingAnswers = 0;
  /** Turns in which the llm router found no `NEXT:` line and the table decided. */
  unnamedRoutes = 0;
}
