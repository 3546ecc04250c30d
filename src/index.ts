export { CacheSage } from "./cachesage.ts";
export type { CacheSageStats } from "./stats.ts";
export type { CacheSageOptions } from "./connect-options.ts";
export type { DashboardOptionsInput } from "./dashboard/options.ts";
export type { Dashboard } from "./dashboard/server.ts";
export type { Address } from "./engine-registry.ts";
export * from "./errors.ts";
export type {
  Announce,
  CacheSageHandler,
  Fetch,
  GatedTool,
  ModelCallMiddleware,
  ObservedModelFields,
  ToolOptions,
  WrapNode,
  WrapNodeOptions,
} from "./langgraph/index.ts";
export type { NextAgentAccuracy } from "./learn/accuracy.ts";
export type * from "./runtime/action.ts";
export type * from "./runtime/cache-event.ts";
export type * from "./runtime/cache-state.ts";
export type * from "./runtime/call.ts";
export type { Clock } from "./runtime/clock.ts";
export type * from "./runtime/engine.ts";
export type * from "./runtime/event.ts";
export { END, START } from "./runtime/event.ts";
export type { Repeats } from "./runtime/gate.ts";
export { Ledger, type LedgerEntry } from "./runtime/ledger.ts";
export { definePolicy } from "./runtime/policy.ts";
export type * from "./runtime/policy.ts";
export type * from "./runtime/store.ts";
export type * from "./runtime/telemetry.ts";
export { prefixId } from "./runtime/action.ts";
export type { SharedStateStats } from "./shared-state.ts";
