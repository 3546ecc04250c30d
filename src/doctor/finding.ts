/** What a trial of one ability showed. */
export type Verdict = "works" | "ignored" | "rejected" | "absent" | "needs flag" | "not tried";

/** One line of a diagnosis. */
export interface Finding {
  /** A verb, or another ability such as `cached tokens`. */
  readonly what: string;
  readonly verdict: Verdict;
  /** One sentence: what was seen. */
  readonly detail: string;
  /** The verb's prompt, asked for afterwards: prompt tokens, those of them that were cached, and milliseconds to one token. */
  readonly after?: {
    readonly promptTokens: number | null;
    readonly cachedTokens: number;
    readonly ms: number;
  };
  /** What to add to the server's command line, or to the adapter's options. */
  readonly add?: string;
}

/** One prompt, asked for the first time and once more. */
export interface PrefixTimes {
  readonly promptTokens: number | null;
  readonly coldMs: number;
  readonly warmMs: number;
  /** Null where the server does not report them. */
  readonly coldCachedTokens: number | null;
  readonly warmCachedTokens: number | null;
}
