import { setTimeout as delay } from "node:timers/promises";
import { CacheSageError } from "../errors.ts";
import type { EngineAdapter, EngineDefinition } from "../runtime/engine.ts";
import type { Finding } from "./finding.ts";
import type { TrialRequests } from "./trial-requests.ts";

/** Milliseconds within which a request's blocks have to be told. */
const WAIT_MS = 3000;
/** A publisher drops what it says before a listener has arrived, so that it is asked once more after so many milliseconds. */
const AGAIN_MS = 1000;

/** Listens to the engine's KV events while requests are under way. */
export async function tryEvents(
  { adapter, definition }: { readonly adapter: EngineAdapter; readonly definition: EngineDefinition },
  requests: TrialRequests,
): Promise<Finding> {
  const what = "events";
  const add = definition.remedies?.events;
  const missing = (detail: string): Finding => ({
    what,
    verdict: add === undefined ? "absent" : "needs flag",
    detail,
    ...(add !== undefined && { add }),
  });
  if (!adapter.events) return missing("No address of KV events is known.");
  const signal = AbortSignal.timeout(WAIT_MS);
  const reading = count(adapter.events(signal));
  // It may end before the request does.
  reading.catch(() => {});
  while (!signal.aborted) {
    await requests.ask(requests.prompt());
    await delay(AGAIN_MS, undefined, { signal }).catch(() => {});
  }
  try {
    const { stored, gaps } = await reading;
    if (stored === 0) return missing(`No KV event came within ${WAIT_MS} ms of a request.`);
    const lost = gaps === 0 ? "none lost" : `gaps: ${gaps}`;
    return { what, verdict: "works", detail: `${stored} stored blocks were told, ${lost}.` };
  } catch (error) {
    if (CacheSageError.isInstance(error) && error.code === "MISSING_DEPENDENCY")
      return { what, verdict: "not tried", detail: "Packages are missing.", add: error.hint ?? "" };
    return missing(error instanceof Error ? error.message : String(error));
  }
}

async function count(events: ReturnType<NonNullable<EngineAdapter["events"]>>) {
  let [stored, gaps] = [0, 0];
  for await (const event of events) {
    if (event.type === "block-stored") stored += event.blocks.length;
    // What was said before anyone listened is no loss on the way.
    else if (event.type === "gap" && stored > 0) gaps++;
  }
  return { stored, gaps };
}
