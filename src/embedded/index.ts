export { type EmbeddedEngine, startEmbeddedEngine } from "./engine.ts";
export { type HintEnvelope, type HintOutcome, type HintReply, hintEnvelope } from "./hints/envelope.ts";
export { embeddedOptions, type EmbeddedOptions, type EmbeddedOptionsInput } from "./options.ts";
export type { EmbeddedStats } from "./stats.ts";
