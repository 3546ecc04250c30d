import { ANY_ANCHOR } from "../learn/anchors.ts";
import { LearnedPredictor } from "../learn/predictor.ts";
import { endOf, placeOf } from "../learn/survival.ts";
import { branchName, type PrefixRef } from "../runtime/action.ts";
import type { PromptPart, Status } from "../runtime/event.ts";
import { jointValueOf } from "../runtime/joint-value.ts";
import type { Predictor } from "../runtime/policy.ts";
import { CHARACTERS_PER_TOKEN } from "../runtime/prompt-text.ts";
import type { Arrival, CacheContext, CachePolicy, Completion } from "./cache-policy.ts";
import { commonLength, HeldPrefixes, type HeldPrefix } from "./held-prefixes.ts";
import { UnheldBlocks } from "./unheld-blocks.ts";
import { InTurn } from "./in-turn.ts";

/** Ended runs whose prefixes are kept because their session may go on. */
const MOST_PAUSED = 1024;
/** Anchors whose values are brought up to date with each request. */
const REFRESHED_ANCHORS = 32;
/** The same of other runs; with a clock more, as their values change by themselves. */
const REFRESHED_RUNS = { timed: 32, untimed: 2 };

/** What an ablation leaves out. */
export interface Ablation {
  /** Prefixes rank by their last use instead of their expected next one. */
  readonly withoutPrediction?: boolean;
  /** A run's end is not noticed. */
  readonly withoutRelease?: boolean;
  /** Only anchors are held; all else is left to LRU. */
  readonly anchorsOnly?: boolean;
}

/** What it asks. */
export type Learner = Pick<Predictor, "observe" | "next" | "reuse" | "branch" | "nextBranch">;

/** A prefix of a run, or an anchor, with what is needed to ask for its value. */
interface Prefix extends HeldPrefix {
  readonly ref: PrefixRef;
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
  readonly #predictor: Learner;
  readonly #context: CacheContext;
  readonly #isTimed: boolean;
  readonly #blockCharacters: number;
  readonly #ablation: Ablation;
  readonly #held: HeldPrefixes<Prefix>;
  readonly #unheld: UnheldBlocks;
  /** By block. All places are there from the start: an array with gaps would be looked up like a map. */
  readonly #parts: (PromptPart | undefined)[];
  readonly #runs = new Map<number, Map<string, Prefix>>();
  /** Sessions of open runs, and ended runs whose session may go on, by session, oldest first. */
  readonly #sessions = new Map<number, string>();
  readonly #paused = new Map<string, number>();
  /** Time of the latest event. */
  #now = 0;
  /** By agent and hash. */
  readonly #anchors = new Map<string, Anchor>();
  /** Each agent's latest prompt, and the anchor that it came with. */
  readonly #latestOf = new Map<string, { blocks: Int32Array; run: number; hash: string }>();
  #latest: Pick<Arrival, "run" | "agent"> = { run: -1, agent: "" };
  readonly #runsInTurn = new InTurn(this.#runs);
  readonly #anchorsInTurn = new InTurn(this.#anchors);

  /** @param predictor default: one that knows nothing yet. */
  constructor(context: CacheContext, ablation: Ablation = {}, predictor: Learner = new LearnedPredictor()) {
    this.#predictor = predictor;
    this.#context = context;
    this.#isTimed = context.isTimed;
    // Traces count tokens, the learner characters.
    this.#blockCharacters = context.blockTokens * CHARACTERS_PER_TOKEN;
    this.#ablation = ablation;
    this.#parts = Array<undefined>(context.blockCount).fill(undefined);
    this.#unheld = new UnheldBlocks(context.blockCount);
    this.#held = new HeldPrefixes(context.blockCount, this.#unheld, (prefix) => this.#rate(prefix));
  }

  request(arrival: Arrival): void {
    const { index, run, agent, blocks, anchorBlocks } = arrival;
    const at = this.#isTimed ? arrival.at : 0;
    this.#now = at;
    this.#latest = arrival;
    this.#refresh();
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
    const branch = this.#predictor.branch(runId, agent);
    const key = branchName(agent, branch);
    const earlier = prefixes.get(key);
    const common = this.#holdAnchor(arrival, anchor.hash);
    const known = earlier ? commonLength(earlier.blocks, blocks) : 0;
    const isLearning = this.#ablation.withoutPrediction !== true && this.#ablation.anchorsOnly !== true;
    this.#unheld.used(arrival, known, common, isLearning ? this.#runs.size - this.#paused.size : 0);
    const own = toPrefix({ agent, run: runId, branch }, blocks, blocks.length, common, index);
    this.#held.hold(own, earlier);
    prefixes.set(key, own);
    if (this.#ablation.anchorsOnly === true) this.#held.release(own);
    this.#revalue(run);
  }

  victim(): number {
    return this.#held.victim();
  }

  /**
   * Brings back what was given up of the prefix that the run which called last is more likely than not to use next, if it is
   * worth more than what it displaces.
   */
  prefetch(most: number, free: number): readonly number[] {
    const { run, agent } = this.#latest;
    const prefixes = this.#runs.get(run);
    const [next] = prefixes ? this.#predictor.next(String(run)) : [];
    const isLikely = next && next.probability >= 0.5;
    const branch = isLikely ? this.#predictor.nextBranch(String(run), next.agent) : 0;
    const prefix = isLikely ? prefixes?.get(branchName(next.agent, branch)) : undefined;
    // The agent at work has its own prefix in cache already.
    const isAgain = next?.agent === agent && branch === this.#predictor.branch(String(run), agent);
    if (!prefix || isAgain || this.#ablation.anchorsOnly === true) return [];
    const length = Math.min(prefix.blocks.length, prefix.length + most);
    const wanted = [...prefix.blocks.subarray(prefix.length, length)];
    const missing = wanted.filter((block) => !this.#context.isResident(block));
    if (missing.length === 0) return [];
    if (missing.length > free && this.#held.worthAt(prefix, length) <= this.#held.least) return [];
    this.#held.extend(prefix, length);
    return missing;
  }

  completed({ run, agent, at, outputTokens, callsTools }: Completion): void {
    if (this.#isTimed) this.#now = Math.max(this.#now, at);
    this.#predictor.observe({
      type: "request-end",
      at: this.#isTimed ? at : 0,
      run: String(run),
      agent,
      namespace: "",
      request: String(run),
      status: "completed",
      usage: { outputTokens },
      ...(callsTools !== undefined && { callsTools }),
    });
    this.#revalue(run);
  }

  ended(run: number, status: Status): void {
    if (this.#ablation.withoutRelease === true) return;
    const session = this.#sessions.get(run);
    this.#sessions.delete(run);
    this.#predictor.observe({
      type: "run-end",
      at: this.#now,
      run: String(run),
      status,
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

  /** As time goes by and more is learned the values of idle runs change, too: some are looked at with each request, in turn. */
  #refresh(): void {
    const count = this.#isTimed ? REFRESHED_RUNS.timed : REFRESHED_RUNS.untimed;
    for (let looked = 0; looked < count; looked++)
      for (const prefix of this.#runsInTurn.next()?.[1].values() ?? []) this.#held.revalue(prefix);
  }

  /** Values of a run's prefixes change with its steps; those of anchors with every step of any run: some are looked at. */
  #revalue(run: number): void {
    for (const prefix of this.#runs.get(run)?.values() ?? []) this.#claim(prefix);
    for (let looked = Math.min(REFRESHED_ANCHORS, this.#anchors.size); looked > 0; looked--) {
      const next = this.#anchorsInTurn.next();
      if (!next) continue;
      const [key, { prefix, common }] = next;
      if (prefix.length > 0) this.#held.revalue(prefix);
      else if (common > 0) this.#anchors.delete(key);
    }
  }

  /** Values a prefix anew, and holds what it had given up that is still in cache. */
  #claim(prefix: Prefix): void {
    const { blocks } = prefix;
    let { length } = prefix;
    while (length < blocks.length && this.#context.isResident(blocks[length] as number)) length++;
    if (length > prefix.length) this.#held.extend(prefix, length);
    else this.#held.revalue(prefix);
  }

  /** @returns how many blocks the anchor takes: those of system message and tools at least. */
  #holdAnchor(arrival: Arrival, hash: string): number {
    const { agent, blocks, anchorBlocks, run, index } = arrival;
    const key = `${agent} ${hash}`;
    const known = this.#anchors.get(key);
    let common = Math.min(known?.common ?? anchorBlocks, blocks.length);
    if (known && known.run !== run) common = commonLength(known.blocks, blocks);
    else if (known) common = Math.min(common, commonLength(known.blocks, blocks));
    const prefix = toPrefix({ agent, anchor: hash }, blocks, common, common, index);
    this.#held.hold(prefix, known?.prefix);
    this.#anchors.set(key, { prefix, blocks, run, common });
    this.#holdBeginning(arrival, hash);
    return common;
  }

  /** Where runs come to an agent with several anchors, holds what those begin with alike. */
  #holdBeginning({ agent, blocks, run, index }: Arrival, hash: string): void {
    const key = `${agent} ${ANY_ANCHOR}`;
    const before = this.#latestOf.get(agent);
    const known = this.#anchors.get(key);
    this.#latestOf.set(agent, { blocks, run, hash });
    const isTold = before !== undefined && before.run !== run && before.hash !== hash;
    if (!isTold && !known) return;
    let common = before ? commonLength(before.blocks, blocks) : 0;
    if (!isTold) common = Math.min(known?.common ?? 0, common);
    else if (common === 0 && !known) return;
    const prefix = toPrefix({ agent, anchor: ANY_ANCHOR }, blocks, common, common, index);
    this.#held.hold(prefix, known?.prefix);
    if (common > 0) this.#anchors.set(key, { prefix, blocks, run, common });
    else this.#anchors.delete(key);
  }

  #rate(prefix: Prefix): void {
    const { ref, blocks, length, common, usedAt } = prefix;
    prefix.steadyTo = 0;
    if (this.#ablation.withoutPrediction === true) {
      // An anchor goes after what follows it.
      prefix.value = usedAt + (ref.run === undefined ? 0.5 : 0);
    } else if (ref.run === undefined || length <= common) {
      prefix.value = this.#predictor.reuse(ref);
    } else {
      const fromEnd = (blocks.length - length) * this.#blockCharacters;
      // Others that hold its end, such as runs that ask about the same document, are taken to come back as soon as this one.
      prefix.value = jointValueOf(prefix.holders, this.#predictor.reuse(ref, fromEnd));
      const steady = Math.ceil(endOf(placeOf(fromEnd)) / this.#blockCharacters) - 1;
      prefix.steadyTo = Math.max(common + 1, blocks.length - steady);
    }
  }

  #anchor(agent: string, blocks: Int32Array, anchorBlocks: number): PromptPart {
    const last = anchorBlocks > 0 ? blocks[anchorBlocks - 1] : agent;
    return { hash: `${anchorBlocks}/${last}`, length: anchorBlocks * this.#blockCharacters };
  }

  #history(blocks: Int32Array, anchorBlocks: number): readonly PromptPart[] {
    const history = Array<PromptPart>(blocks.length - anchorBlocks);
    for (let at = anchorBlocks; at < blocks.length; at++) {
      const block = blocks[at] as number;
      history[at - anchorBlocks] = this.#parts[block] ??= new BlockPart(block, this.#blockCharacters);
    }
    return history;
  }
}

/** A block as a part of a prompt. Its hash is hardly ever asked for: each block has one part, and those are compared first. */
class BlockPart implements PromptPart {
  readonly length: number;
  readonly #block: number;

  constructor(block: number, length: number) {
    this.#block = block;
    this.length = length;
  }

  get hash(): string {
    return String(this.#block);
  }
}

function toPrefix(
  ref: PrefixRef,
  blocks: Int32Array,
  length: number,
  common: number,
  usedAt: number,
): Prefix {
  return { ref, blocks, length, common, usedAt, value: 0, steadyTo: 0, ratedAfter: 0, holders: 0, slot: -1 };
}
