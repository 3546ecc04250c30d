/** One model call as the client saw it. */
export interface CallRecord {
  readonly agent: string;
  /** When it was sent, in milliseconds of the client's clock. */
  readonly sentAt: number;
  /** Send to first token, on the client's clock. */
  readonly ttftMs: number;
  /** First token to the answer's end. */
  readonly answerMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Undefined when the engine did not report it. */
  readonly cachedTokens: number | undefined;
}

/** Everything measured while one arm ran. */
export class CallLog {
  readonly calls: CallRecord[] = [];
  readonly runMs: number[] = [];
}
