/** Shape of a random-weight llama model. Heads are 64 wide, which keeps attention cheap and prefill near linear. */
export interface ModelShape {
  readonly name: string;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly feedForward: number;
}

export const headWidth = 64;
/** Tokens the positions are declared for; the engine's own limit is `contextTokens`. */
export const trainedContext = 131072;
export const vocabularySize = 4096;

/**
 * The models the engine writes itself, from the smallest to the largest: 6.9, 8.1, 9.7, 15.6 and 29.9 M weights, and 512, 512, 1024, 1536 and 2048 bytes of KV
 * a token. Those between take a prompt's time up in small steps, so that one fits whatever machine the demo runs on.
 */
export const presets = {
  pico: { name: "pico", width: 384, layers: 2, heads: 1, keyValueHeads: 1, feedForward: 1536 },
  micro: { name: "micro", width: 448, layers: 2, heads: 2, keyValueHeads: 1, feedForward: 1536 },
  nano: { name: "nano", width: 512, layers: 2, heads: 4, keyValueHeads: 2, feedForward: 1536 },
  mini: { name: "mini", width: 640, layers: 3, heads: 4, keyValueHeads: 2, feedForward: 1536 },
  bench: { name: "bench", width: 768, layers: 4, heads: 4, keyValueHeads: 2, feedForward: 2304 },
} as const satisfies Readonly<Record<string, ModelShape>>;

export type PresetName = keyof typeof presets;

/** Tells a preset's name from a path. */
export function isPreset(model: string): model is PresetName {
  return Object.hasOwn(presets, model);
}
