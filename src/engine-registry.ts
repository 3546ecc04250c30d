import { registry } from "./registry.ts";
import type { EngineDefinition } from "./runtime/engine.ts";

/** The engines that cachesage has an adapter for. */
export const engines = registry<EngineDefinition>("engine", new URL("./engines/", import.meta.url));
