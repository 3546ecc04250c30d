import { registry } from "../registry.ts";
import type { Baseline } from "./cache-policy.ts";
import type { TraceFormat } from "./trace-format.ts";

/** The policies of the replay: one is one file in `baselines/`. */
export const baselines = registry<Baseline>("baseline", new URL("./baselines/", import.meta.url));

/** The readers of traces: one is one file in `formats/`. */
export const formats = registry<TraceFormat>("trace format", new URL("./formats/", import.meta.url));
