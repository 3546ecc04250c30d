import type { CostModel } from "./cost-model.ts";

/** A request as the modelled engine computes it. */
export interface Job {
  /** When it reaches the engine's queue. */
  readonly queuedAt: number;
  /** Its prompt's blocks: what it holds in the cache while it is computed. */
  readonly blocks: Int32Array;
  readonly promptTokens: number;
  /** Those of them that the cache holds when it arrives. */
  readonly cachedTokens: number;
  readonly answerTokens: number;
  /** Tokens of prompt and answer that are computed. */
  position: number;
  firstTokenAt?: number;
  answeredAt?: number;
}

/**
 * Models continuous batching, as vLLM and the embedded engine do it: one token of each answer under way and a chunk of the
 * prompts that wait make a step. A request joins when the prompts before it leave room in a step and the cache can hold it
 * beside those that run; it is never idle while a request waits.
 */
export class BatchingServer {
  #now = Number.NEGATIVE_INFINITY;
  #busyMs = 0;
  readonly #cost: CostModel;
  readonly #capacity: number;
  readonly #running: Job[] = [];
  /** How many running requests hold a block. */
  readonly #holders = new Map<number, number>();

  /** @param capacity blocks of the cache. */
  constructor(cost: CostModel, capacity: number) {
    this.#cost = cost;
    this.#capacity = capacity;
  }

  /** Milliseconds. */
  get now(): number {
    return this.#now;
  }

  /** Milliseconds in which steps were computed. */
  get busyMs(): number {
    return this.#busyMs;
  }

  get isBusy(): boolean {
    return this.#running.length > 0;
  }

  /** Works until the request can be taken in, and takes it in. */
  admit(job: Job): void {
    while (this.isBusy && (this.#now < job.queuedAt || !this.#hasRoom(job))) this.step(job.queuedAt);
    this.#now = Math.max(this.#now, job.queuedAt) + this.#cost.requestMs;
    this.#running.push(job);
    for (const block of job.blocks) this.#holders.set(block, (this.#holders.get(block) ?? 0) + 1);
  }

  /** Computes one step; while answers alone are under way, all steps until one of them ends or `until` has come. */
  step(until: number): void {
    const { stepMs, tokenMs, squaredTokenMs, answerTokenMs, answerContextMs, chunkTokens } = this.#cost;
    const answers = this.#running.filter(isAnswering);
    const prompts = this.#running.filter((job) => !isAnswering(job));
    const context = answers.reduce((sum, { position }) => sum + position, 0);
    const answersMs = stepMs + answerTokenMs * answers.length + answerContextMs * context;
    if (prompts.length === 0) {
      const left = Math.min(...answers.map(leftOf));
      const wanted = until > this.#now && answersMs > 0 ? Math.ceil((until - this.#now) / answersMs) : left;
      const steps = Math.min(left, Math.max(1, wanted));
      this.#pass(steps * answersMs + (answerContextMs * answers.length * steps * (steps - 1)) / 2);
      for (const job of answers) this.#advance(job, steps);
      return;
    }
    let room = Math.max(1, chunkTokens - answers.length);
    let promptsMs = 0;
    const parts: (readonly [Job, number])[] = [];
    for (const job of prompts) {
      const tokens = Math.min(room, job.promptTokens - job.position);
      if (room === 0) break;
      room -= tokens;
      promptsMs += tokenMs * tokens + squaredTokenMs * ((job.position + tokens) ** 2 - job.position ** 2);
      parts.push([job, tokens]);
    }
    this.#pass(answersMs + promptsMs);
    for (const [job, tokens] of parts) this.#advance(job, tokens);
    for (const job of answers) this.#advance(job, 1);
  }

  #pass(ms: number): void {
    this.#now += ms;
    this.#busyMs += ms;
  }

  #advance(job: Job, tokens: number): void {
    job.position += tokens;
    if (job.position < job.promptTokens) return;
    // The step that computes a prompt's end draws the answer's first token.
    job.firstTokenAt ??= this.#now;
    if (leftOf(job) > 0) return;
    job.answeredAt = this.#now;
    this.#running.splice(this.#running.indexOf(job), 1);
    for (const block of job.blocks) {
      const others = (this.#holders.get(block) ?? 1) - 1;
      if (others > 0) this.#holders.set(block, others);
      else this.#holders.delete(block);
    }
  }

  #hasRoom({ blocks }: Job): boolean {
    const { chunkTokens, maxRunning } = this.#cost;
    if (this.#running.length >= maxRunning) return false;
    const queued = this.#running.reduce(
      (sum, { promptTokens, position }) => sum + Math.max(0, promptTokens - position),
      0,
    );
    // Each answer takes a block of its own beside its prompt's.
    return queued < chunkTokens && this.#holders.size + blocks.length + this.#running.length < this.#capacity;
  }
}

function isAnswering({ firstTokenAt }: Job): boolean {
  return firstTokenAt !== undefined;
}

/** Tokens of the answer still to be computed: its last one is drawn and never computed. */
function leftOf({ promptTokens, answerTokens, position }: Job): number {
  return promptTokens + answerTokens - 1 - position;
}
