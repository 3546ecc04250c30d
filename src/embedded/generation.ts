import type { Lease } from "./cache/kv-cache.ts";
import type { Sampling } from "./llama.ts";
import type { Urgency } from "./urgency-list.ts";

/** One answer to compute. */
export interface GenerationRequest {
  /** Prompt tokens; at least one. */
  readonly prompt: readonly number[];
  /** Leading prompt tokens that system text and tools make up. */
  readonly anchorLength: number;
  /** Prefix ids that own what the request leaves in the cache. */
  readonly prefix?: string | undefined;
  readonly anchor?: string | undefined;
  /** Most tokens to generate; 0 only computes the prompt. */
  readonly maxTokens: number;
  /** Lower goes first; default 0. Looked at where requests are scheduled by priority. */
  readonly priority?: number | undefined;
  readonly sampling: Sampling;
  /** Receives each token as it is drawn; returning true ends the answer. */
  onToken(token: number): boolean;
  isEnd(token: number): boolean;
}

export interface GenerationResult {
  /** Prompt tokens that were resident when the request was admitted. */
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly finishReason: "stop" | "length";
}

/** A request on its way through the scheduler. */
export class Generation implements Urgency {
  readonly request: GenerationRequest;
  readonly done: Promise<GenerationResult>;
  readonly signal: AbortSignal | undefined;
  readonly priority: number;
  readonly arrival: number;
  lease: Lease | undefined;
  cachedTokens: number | undefined;
  /** Tokens of prompt and output that are in the sequence. */
  position = 0;
  readonly #output: number[] = [];
  #resolve: (result: GenerationResult) => void = () => {};
  #reject: (reason: unknown) => void = () => {};

  constructor(request: GenerationRequest, { priority, arrival }: Urgency, signal?: AbortSignal) {
    this.request = request;
    this.priority = priority;
    this.arrival = arrival;
    this.signal = signal;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get length(): number {
    return this.request.prompt.length + this.#output.length;
  }

  get outputTokens(): number {
    return this.#output.length;
  }

  get isDecoding(): boolean {
    return this.#output.length > 0 && this.length - this.position === 1;
  }

  /** Everything known so far: what a preempted request starts again from. */
  get tokens(): readonly number[] {
    return this.#output.length === 0 ? this.request.prompt : [...this.request.prompt, ...this.#output];
  }

  /** The next tokens to compute, at most `limit`. */
  next(limit: number): readonly number[] {
    const { prompt } = this.request;
    if (this.position >= prompt.length) {
      const start = this.position - prompt.length;
      return this.#output.slice(start, start + limit);
    }
    return this.tokens.slice(this.position, this.position + limit);
  }

  /** Draws are seeded by position, so an answer does not depend on what it was batched or preempted with. */
  get sampling(): Sampling {
    const { sampling } = this.request;
    return { ...sampling, seed: (sampling.seed + this.#output.length) >>> 0 };
  }

  /** Takes in a drawn token. Returns how the answer ends with it, if it does. */
  accept(token: number): GenerationResult["finishReason"] | undefined {
    if (this.request.isEnd(token)) return "stop";
    this.#output.push(token);
    if (this.request.onToken(token)) return "stop";
    return this.#output.length >= this.request.maxTokens ? "length" : undefined;
  }

  finish(finishReason: GenerationResult["finishReason"]): void {
    this.#resolve({ cachedTokens: this.cachedTokens ?? 0, outputTokens: this.#output.length, finishReason });
  }

  fail(reason: unknown): void {
    this.#reject(reason);
  }
}
