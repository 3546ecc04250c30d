import { parseOptions } from "../options.ts";
import { Observed } from "./observed.ts";
import { dashboardOptions, type DashboardOptionsInput } from "./options.ts";
import { type Dashboard, serveDashboard } from "./server.ts";
import type { DashboardSource } from "./source.ts";

/** Milliseconds between two questions to the engine how it is. */
const ASK_EVERY_MS = 1000;

/**
 * Begins to observe a source and serves what it sees.
 *
 * @throws InvalidOptionsError, CacheSageError `INVALID_OPTIONS` when the address cannot be listened on.
 */
export async function startDashboard(
  source: DashboardSource,
  given: DashboardOptionsInput = {},
): Promise<Dashboard> {
  const options = parseOptions("dashboard", dashboardOptions, given);
  const observed = new Observed(source, { kvTokens: options.kvTokens, everyMs: ASK_EVERY_MS });
  try {
    const server = await serveDashboard(() => observed, options);
    server.unref();
    return {
      url: server.url,
      async close() {
        observed.stop();
        await server.close();
      },
    };
  } catch (error) {
    observed.stop();
    throw error;
  }
}
