import type { HintEnvelope, HintReply } from "./envelope.ts";

/** By base URL, what takes the hints of each engine that runs in this process: they need no HTTP. */
export const hintsInProcess = new Map<
  string,
  (envelope: HintEnvelope, signal?: AbortSignal) => Promise<HintReply>
>();
