import { LearnedPredictor } from "../learn/predictor.ts";
import type { PrefixRef } from "../runtime/action.ts";
import type { PromptPart } from "../runtime/event.ts";
import type { Arrival, CacheContext, CachePolicy, Completion } from "./cache-policy.ts";
import { HeldPrefixes, type HeldPrefix } from "./held-prefixes.ts";

/** Characters that a token stands for; traces count tokens, the learner characters. */
const CHARACTERS_PER_TOKEN = 4;

/** Ended runs whose prefixes are kept because their session may go on. */
const MOST_PAUSED = 1024;
/** Open runs whose values are brought up to date with each request. */
const REFRESHED = 32;

/** What an ablation leaves out. */
export interface Ablation {
  /** Prefixes rank by their last use instead of their expected next one. */
  readonly withoutPrediction?: boolean;
  /** A run's end is not noticed. */
  readonly withoutRelease?: boolean;
  /** Only anchors are held; all else is left to LRU. */
  readonly anchorsOnly?: boolean;
}

/** A prefix of a run, or an anchor, with what is needed to ask for its value. */
interface Prefix extends HeldPrefix {
  ref?: PrefixRef;
  /** Blocks at its start that every prompt of the agent has. */
  common?: number;
}

/** What runs of an agent have in common: system message and tools, and what their histories begin with alike. */
interface Anchor {
  prefix: Prefix;
  /** The latest prompt, and the run it was of. */
  blocks: Int32Array;
  run: number;
  /** Blocks that the latest prompts of two runs have in common. */
  common: number;
}

/** Our policy on a block cache: the same learner as on a live engine, asked for the value of each prefix's tail. */
export class LearnedPolicy implements CachePolicy {
  readonly #predictor = new LearnedPredictor();
  readonly #context: CacheContext;
  readonly #ablation: Ablation;
  readonly #held: HeldPrefixes;
  readonly #parts: PromptPart[] = [];
  readonly #runs = new Map<number, Map<string, Prefix>>();
  /** Sessions of open runs, and ended runs whose session may go on, by session, oldest first. */
  readonly #sessions = new Map<number, string>();
  readonly #paused = new Map<string, number>();
  /** Time of the latest event. */
  #now = 0;
  /** By agent and hash. */
  readonly #anchors = new Map<string, Anchor>();
  #asking: PrefixRef = { agent: "" };
  #common = 0;
  #turn: Iterator<number, undefined> = this.#runs.keys();
  #time = 0;

  constructor(context: CacheContext, ablation: Ablation = {}) {
    this.#context = context;
    this.#ablation = ablation;
    this.#held = new HeldPrefixes(context.blockCount, (prefix) => this.#value(prefix));
  }

  request(arrival: Arrival): void {
    const { index, run, agent, blocks, anchorBlocks } = arrival;
    const at = this.#context.isTimed ? arrival.at : 0;
    this.#now = at;
    this.#time = index;
    if (this.#context.isTimed) this.#refresh();
    const runId = String(run);
    const prefixes = this.#runs.get(run) ?? this.#open(run, arrival.session);
    const anchor = this.#anchor(agent, blocks, anchorBlocks);
    this.#predictor.observe({
      type: "request-start",
      at,
      run: runId,
      agent,
      namespace: arrival.namespace ?? "",
      ...(arrival.step !== undefined && { step: arrival.step }),
      request: runId,
      prompt: { anchor, history: this.#history(blocks, anchorBlocks) },
    });
    const earlier = prefixes.get(agent);
    const common = this.#holdAnchor(agent, anchor.hash, blocks, anchorBlocks, run);
    const own = this.#hold(blocks, { agent, run: runId }, common);
    prefixes.set(agent, own);
    if (earlier) this.#held.release(earlier);
    if (this.#ablation.anchorsOnly === true) this.#held.release(own);
    this.#revalue(run);
  }

  victim(): number {
    return this.#held.victim();
  }

  completed({ run, agent, at, promptTokens, outputTokens, callsTools }: Completion): void {
    if (this.#context.isTimed) this.#now = Math.max(this.#now, at);
    this.#predictor.observe({
      type: "request-end",
      at: this.#context.isTimed ? at : 0,
      run: String(run),
      agent,
      namespace: "",
      request: String(run),
      status: "completed",
      usage: { promptTokens, outputTokens },
      ...(callsTools !== undefined && { callsTools }),
    });
    if (callsTools !== undefined) this.#revalue(run);
  }

  ended(run: number): void {
    if (this.#ablation.withoutRelease === true) return;
    const session = this.#sessions.get(run);
    this.#sessions.delete(run);
    this.#predictor.observe({
      type: "run-end",
      at: this.#now,
      run: String(run),
      status: "completed",
      ...(session !== undefined && { session }),
    });
    if (session === undefined) return this.#release(run);
    // Its thread may go on; then a run comes that takes the prefixes over.
    this.#letGo(session);
    const oldest = this.#paused.keys().next().value;
    if (this.#paused.size >= MOST_PAUSED && oldest !== undefined) this.#letGo(oldest);
    this.#paused.set(session, run);
    for (const prefix of this.#runs.get(run)?.values() ?? []) this.#held.revalue(prefix);
  }

  finished(): void {
    this.#held.check(this.#context.isResident);
  }

  #open(run: number, session: string | undefined): Map<string, Prefix> {
    const earlier = session === undefined ? undefined : this.#paused.get(session);
    const prefixes = (earlier === undefined ? undefined : this.#runs.get(earlier)) ?? new Map();
    if (earlier !== undefined) this.#runs.delete(earlier);
    if (session !== undefined) {
      this.#paused.delete(session);
      this.#sessions.set(run, session);
    }
    this.#runs.set(run, prefixes);
    this.#predictor.observe({
      type: "run-start",
      at: this.#now,
      run: String(run),
      ...(session !== undefined && { session }),
    });
    return prefixes;
  }

  #letGo(session: string): void {
    const run = this.#paused.get(session);
    this.#paused.delete(session);
    if (run !== undefined) this.#release(run);
  }

  #release(run: number): void {
    for (const prefix of this.#runs.get(run)?.values() ?? []) this.#held.release(prefix);
    this.#runs.delete(run);
  }

  /** As time goes by the values of idle runs change, too: some are looked at anew with each request, in turn. */
  #refresh(): void {
    for (let looked = 0; looked < REFRESHED; looked++) {
      const next = this.#turn.next();
      if (next.done) this.#turn = this.#runs.keys();
      else for (const prefix of this.#runs.get(next.value)?.values() ?? []) this.#held.revalue(prefix);
    }
  }

  /** Values of a run's prefixes change with its steps; those of anchors with every step of any run. */
  #revalue(run: number): void {
    for (const prefix of this.#runs.get(run)?.values() ?? []) this.#held.revalue(prefix);
    for (const [key, anchor] of this.#anchors)
      if (anchor.prefix.length > 0) this.#held.revalue(anchor.prefix);
      else if (anchor.common > 0) this.#anchors.delete(key);
  }

  #hold(blocks: Int32Array, ref: PrefixRef, common = 0): Prefix {
    this.#asking = ref;
    this.#common = common;
    const prefix: Prefix = this.#held.hold(blocks, this.#time);
    prefix.ref = ref;
    prefix.common = common;
    return prefix;
  }

  /** @returns how many blocks the anchor takes: those of system message and tools at least. */
  #holdAnchor(agent: string, hash: string, blocks: Int32Array, anchorBlocks: number, run: number): number {
    const key = `${agent} ${hash}`;
    const known = this.#anchors.get(key);
    let common = Math.min(known?.common ?? anchorBlocks, blocks.length);
    if (known && known.run !== run) common = commonLength(known.blocks, blocks);
    else if (known) common = Math.min(common, commonLength(known.blocks, blocks));
    const prefix = this.#hold(blocks.subarray(0, common), { agent, anchor: hash });
    this.#anchors.set(key, { prefix, blocks, run, common });
    if (known) this.#held.release(known.prefix);
    return common;
  }

  #value(prefix: Prefix): number {
    // An anchor goes after what follows it.
    if (this.#ablation.withoutPrediction === true)
      return prefix.usedAt + ((prefix.ref ?? this.#asking).run === undefined ? 0.5 : 0);
    const ref = prefix.ref ?? this.#asking;
    const common = prefix.ref ? (prefix.common ?? 0) : this.#common;
    if (ref.run === undefined || prefix.length <= common) return this.#predictor.reuse(ref);
    const fromEnd = (prefix.blocks.length - prefix.length) * this.#context.blockTokens * CHARACTERS_PER_TOKEN;
    return this.#predictor.reuse(ref, { fromEnd });
  }

  #anchor(agent: string, blocks: Int32Array, anchorBlocks: number): PromptPart {
    const last = anchorBlocks > 0 ? blocks[anchorBlocks - 1] : agent;
    return { hash: `${anchorBlocks}/${last}`, length: anchorBlocks * this.#blockCharacters };
  }

  #history(blocks: Int32Array, anchorBlocks: number): readonly PromptPart[] {
    const history: PromptPart[] = Array.from({ length: blocks.length - anchorBlocks });
    for (let at = anchorBlocks; at < blocks.length; at++) {
      const block = blocks[at] as number;
      history[at - anchorBlocks] = this.#parts[block] ??= {
        hash: String(block),
        length: this.#blockCharacters,
      };
    }
    return history;
  }

  get #blockCharacters(): number {
    return this.#context.blockTokens * CHARACTERS_PER_TOKEN;
  }
}

function commonLength(one: Int32Array, other: Int32Array): number {
  const most = Math.min(one.length, other.length);
  let common = 0;
  while (common < most && one[common] === other[common]) common++;
  return common;
}
