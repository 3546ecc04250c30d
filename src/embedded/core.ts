import type { LlamaModel } from "node-llama-cpp";
import type { KvCache } from "./cache/kv-cache.ts";
import type { ChatTemplate } from "./chat/chat.ts";
import type { Metrics } from "./metrics.ts";
import type { EmbeddedOptions } from "./options.ts";
import type { Scheduler } from "./scheduler.ts";

/** The parts of a running engine that its HTTP routes work with. */
export interface EngineCore {
  /** Model id that requests name. */
  readonly id: string;
  /** One sentence on the model. */
  readonly description: string;
  readonly options: EmbeddedOptions;
  readonly model: LlamaModel;
  readonly template: ChatTemplate;
  readonly cache: KvCache;
  readonly scheduler: Scheduler;
  readonly metrics: Metrics;
}
