// What the README's fragments take for granted. A block marked `run` is complete: it gets none of this when it runs.

declare const url: string;
declare const registry: import("prom-client").Registry;
declare const sage: import("cachesage").CacheSage;
declare const model: import("@langchain/openai").ChatOpenAI;
declare const messages: import("@langchain/core/messages").BaseMessage[];
type Answer = import("@langchain/core/messages").AIMessageChunk;
declare function agentNamedIn(answer: Answer): string;
declare function runTools(answer: Answer): Promise<readonly unknown[]>;
