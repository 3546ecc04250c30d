import { setMaxListeners } from "node:events";

/** A signal that aborts with any of the others; `release` takes its listeners off them again. */
export interface CombinedSignal {
  readonly signal: AbortSignal;
  release(): void;
}

/** Made by hand: `AbortSignal.any` costs more than all else here, and holds on to signals that live long. */
export function combineSignals(...signals: readonly (AbortSignal | undefined)[]): CombinedSignal {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  for (const signal of signals) {
    if (signal === undefined) continue;
    // More than ten calls under way are no leak: each takes its listener off when it ends.
    setMaxListeners(0, signal);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
  }
  return {
    signal: controller.signal,
    release: () => {
      for (const signal of signals) signal?.removeEventListener("abort", abort);
    },
  };
}
