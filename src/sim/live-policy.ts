import { LearnedPredictor } from "../learn/predictor.ts";
import prefixCache from "../policies/prefix-cache.ts";
import { type Advice, prefixId, promptOf, type RetainHint } from "../runtime/action.ts";
import { AgentRuntime } from "../runtime/agent-runtime.ts";
import type { AgentId, Event, PromptPart, Status } from "../runtime/event.ts";
import { jointValue } from "../runtime/joint-value.ts";
import { Ledger } from "../runtime/ledger.ts";
import { LivePrefixes } from "../runtime/live-prefixes.ts";
import { CHARACTERS_PER_TOKEN } from "../runtime/prompt-text.ts";
import type { Arrival, CacheContext, CachePolicy, Completion } from "./cache-policy.ts";
import { commonLength } from "./held-prefixes.ts";
import { ScoredCache } from "./scored-cache.ts";

/** What an engine knows of a prefix: its blocks, and what was last said of its worth, when. */
interface Owner {
  blocks: Int32Array;
  hint?: RetainHint;
  saidAt: number;
}

/** An agent's latest prompt, and how many of its blocks belong to the anchor. */
interface AnchorUse {
  readonly blocks: Int32Array;
  readonly run: number;
  readonly length: number;
}

/**
 * What runs in an app, hint by hint: the runtime with policy `prefix-cache`, and a cache that goes by the values
 * sent as the embedded engine does: a block is worth what its prompts are together, or its anchor where that is more; among
 * equals the one used longest ago goes first. Nothing is prefetched. A prompt has two values, one for its tail and one for what
 * stands before that, where the replay's own policy rates each block.
 */
export class LivePolicy implements CachePolicy {
  readonly #runtime: AgentRuntime;
  readonly #predictor: LearnedPredictor;
  readonly #prefixes: LivePrefixes;
  readonly #cache: ScoredCache;
  readonly #context: CacheContext;
  /** By the prefix's id. */
  readonly #owners = new Map<string, Owner>();
  readonly #anchors = new Map<AgentId, AnchorUse>();
  /** Open runs with their sessions. */
  readonly #sessions = new Map<number, string | undefined>();
  readonly #worth: Float64Array;
  #isWorthKnown = false;
  #now = 0;

  constructor(context: CacheContext) {
    this.#context = context;
    const { blockCount } = context;
    this.#worth = new Float64Array(blockCount);
    this.#cache = new ScoredCache(blockCount, (block) => this.#worth[block] as number);
    const clock = { now: () => this.#now };
    const predictor = new LearnedPredictor();
    this.#predictor = predictor;
    const prefixes = (this.#prefixes = new LivePrefixes(predictor));
    const options = prefixCache.options.parse({ prefetch: false });
    const policy = prefixCache.create({ options, clock, predictor, prefixes });
    this.#runtime = new AgentRuntime({
      clock,
      predictor,
      prefixes,
      policies: [{ definition: prefixCache, policy }],
      ledger: new Ledger(1),
      onFault: (where, error) => {
        throw new Error(where, { cause: error });
      },
    });
  }

  request(arrival: Arrival): void {
    const { run, agent, blocks, anchorBlocks, namespace = "", step, session } = arrival;
    this.#isWorthKnown = false;
    this.#now = this.#context.isTimed ? arrival.at : 0;
    const id = String(run);
    const at = this.#now;
    if (!this.#sessions.has(run)) {
      this.#sessions.set(run, session);
      this.#observe({ type: "run-start", at, run: id, ...sessionOf(session) });
    }
    const anchor = {
      hash: `${anchorBlocks}/${blocks[anchorBlocks - 1] ?? agent}`,
      length: this.#length(anchorBlocks),
    };
    const history = Array.from(blocks.subarray(anchorBlocks), (block): PromptPart => ({
      hash: String(block),
      length: this.#length(1),
    }));
    const whose = { run: id, agent, namespace, ...sessionOf(session), ...(step !== undefined && { step }) };
    this.#observe({ type: "request-start", at, ...whose, request: id, prompt: { anchor, history } });
    this.#owner(prefixId(promptOf(agent, id, this.#predictor.branch(id, agent)))).blocks = blocks;
    this.#claimAnchor(arrival);
    this.#cache.insert(arrival);
  }

  victim(needed: number): number {
    if (!this.#isWorthKnown) this.#rateBlocks();
    this.#isWorthKnown = true;
    return this.#cache.take(needed);
  }

  completed({ run, agent, at, outputTokens, callsTools }: Completion): void {
    if (this.#context.isTimed) this.#now = Math.max(this.#now, at);
    this.#observe({
      type: "request-end",
      at: this.#now,
      run: String(run),
      agent,
      namespace: "",
      request: String(run),
      status: "completed",
      usage: { outputTokens },
      ...(callsTools !== undefined && { callsTools }),
    });
  }

  ended(run: number, status: Status): void {
    const session = this.#sessions.get(run);
    this.#sessions.delete(run);
    const ended = { run: String(run), status, ...sessionOf(session) };
    this.#observe({ type: "run-end", at: this.#now, ...ended });
  }

  #observe(event: Event): void {
    for (const hint of this.#runtime.observe(event)) this.#carryOut(hint);
  }

  #carryOut(hint: Advice): void {
    const id = prefixId(hint.prefix);
    if (hint.type === "release") this.#owners.delete(id);
    else if (hint.type === "retain") Object.assign(this.#owner(id), { hint, saidAt: this.#now });
  }

  /** As `BlockPool.claimAnchor`. */
  #claimAnchor({ agent, run, blocks, anchorBlocks }: Arrival): void {
    const lead = this.#prefixes.anchor(agent)?.lead ?? 0;
    const latest = this.#anchors.get(agent);
    let length = anchorBlocks + lead;
    if (latest) length = Math.min(length, commonLength(latest.blocks, blocks));
    if (latest?.run === run) length = Math.min(length, latest.length);
    this.#anchors.set(agent, { blocks, run, length });
    this.#owner(prefixId({ agent })).blocks = blocks.subarray(0, length);
  }

  #owner(id: string): Owner {
    let owner = this.#owners.get(id);
    if (!owner) this.#owners.set(id, (owner = { blocks: new Int32Array(), saidAt: 0 }));
    return owner;
  }

  #rateBlocks(): void {
    this.#worth.fill(0);
    // An anchor's value counts all prompts already.
    for (const [isAnchor, combine] of [
      [false, jointValue],
      [true, Math.max],
    ] as const)
      for (const { hint, saidAt, blocks } of this.#owners.values()) {
        if (!hint || (hint.prefix.run === undefined) !== isAnchor) continue;
        const worth = worthAfter(hint, this.#now - saidAt);
        const { tail } = hint;
        const tailBlocks = tail ? Math.round(tail.tokens / this.#context.blockTokens) : 0;
        const tailWorth = tail && tailBlocks > 0 ? worthAfter(tail, this.#now - saidAt) : worth;
        for (const [place, block] of blocks.entries())
          this.#worth[block] = combine(
            this.#worth[block] as number,
            place < blocks.length - tailBlocks ? worth : tailWorth,
          );
      }
  }

  #length(blocks: number): number {
    return blocks * this.#context.blockTokens * CHARACTERS_PER_TOKEN;
  }
}

/** As engines have it: straight lines between the values said. */
function worthAfter({ value, later = [] }: Pick<RetainHint, "value" | "later">, elapsed: number): number {
  let [before, from] = [0, value];
  for (const [afterMs, to] of later) {
    if (elapsed < afterMs) return from + ((to - from) * (elapsed - before)) / (afterMs - before);
    [before, from] = [afterMs, to];
  }
  return from;
}

function sessionOf(session: string | undefined): { readonly session?: string } {
  return session === undefined ? {} : { session };
}
