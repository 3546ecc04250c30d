import { startEmbeddedEngine } from "../embedded/index.ts";
import { type PresetName, presets } from "../embedded/model/presets.ts";

/**
 * Most milliseconds that 1,000 tokens of prompt may take: eight open runs that ask for 1,500 tokens each after 1.2 s of tools want
 * 10,000 tokens a second, and without a prefix cache the engine still has to keep up.
 */
const MOST_PREFILL_MS = 100;
const PROMPTS = 4;
const WORDS = 1000;

/** A preset, and the milliseconds in which it computes 1,000 tokens of prompt on this machine. */
export interface FittingModel {
  readonly model: PresetName;
  readonly prefillMs: number;
}

/**
 * The largest preset that computes prompts fast enough on this machine, or the smallest. With a smaller one, the time to the first token would
 * be that of client and server, which no cache can save.
 */
export async function fittingModel(signal: AbortSignal): Promise<FittingModel> {
  let fitting: FittingModel | undefined;
  for (const model of Object.keys(presets) as PresetName[]) {
    const prefillMs = await measure(model, signal);
    if (fitting && prefillMs > MOST_PREFILL_MS) break;
    fitting = { model, prefillMs };
  }
  return fitting as FittingModel;
}

/** The least of several, as other work on the machine only adds to it. */
async function measure(preset: PresetName, signal: AbortSignal): Promise<number> {
  const engine = await startEmbeddedEngine({ model: preset, prefixCaching: false });
  try {
    let least = Number.POSITIVE_INFINITY;
    for (let prompt = 0; prompt < PROMPTS; prompt++) {
      signal.throwIfAborted();
      const messages = [{ role: "user", content: `${prompt} ${"word ".repeat(WORDS)}` }];
      const started = performance.now();
      const response = await fetch(`${engine.baseURL}/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: engine.model, messages, max_tokens: 1 }),
        signal,
      });
      const { usage } = (await response.json()) as { usage: { prompt_tokens: number } };
      least = Math.min(least, ((performance.now() - started) * 1000) / usage.prompt_tokens);
    }
    return least;
  } finally {
    await engine.close();
  }
}
