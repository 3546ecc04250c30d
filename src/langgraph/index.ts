export type { Announce } from "./announce.ts";
export { createFramework, type Framework, type ModelFields, type ObservedModelFields } from "./framework.ts";
export type { CacheSageHandler } from "./handler.ts";
export type { Fetch } from "./routed-send.ts";
export type { ModelCallMiddleware } from "./middleware.ts";
export type { GatedTool, ToolOptions } from "./tool-gate.ts";
export type { WrapNode, WrapNodeOptions } from "./wrap-node.ts";
