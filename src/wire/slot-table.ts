import { type PrefixRef, prefixId } from "../runtime/action.ts";
import type { AgentId } from "../runtime/event.ts";
import { Newest } from "../runtime/newest.ts";

interface Slot {
  readonly index: number;
  prefix: PrefixRef | undefined;
  /** Prompt tokens it holds, as far as is known. */
  tokens: number;
  /** A prefetch fills it. */
  isHeld: boolean;
  usedAt: number;
  pinnedUntil: number;
}

/** A slot that a prefetch may fill. */
export interface HeldSlot {
  readonly index: number;
  /** What it held, and how many tokens of that get lost. */
  readonly displaced: PrefixRef | undefined;
  readonly lost: number;
  /** Tokens of the prefix that it holds already, as far as is known. */
  readonly kept: number;
}

/** Agents whose anchors' sizes are remembered. */
const MAX_AGENTS = 1024;
/** Value of a prefix of which nothing was said. */
const UNKNOWN_VALUE = 0.25;

/**
 * Which prefix is in which slot of a server that keeps one sequence a slot, and which slot to give up next: the one
 * whose loss costs the fewest expected tokens, less what the newcomer finds of its own anchor there.
 */
export class SlotTable {
  readonly #slots: readonly Slot[];
  readonly #values = new Map<string, number>();
  readonly #underWay = new Map<string, number>();
  /** Requests of a prefix for which no slot was named. */
  readonly #adrift = new Map<string, number>();
  /** Tokens of each agent's anchor. */
  readonly #anchors = new Newest<AgentId, number>(MAX_AGENTS);
  #clock = 0;

  constructor(count: number) {
    this.#slots = Array.from({ length: count }, (_, index) => ({
      index,
      prefix: undefined,
      tokens: 0,
      isHeld: false,
      usedAt: 0,
      pinnedUntil: 0,
    }));
  }

  retain(prefix: PrefixRef, value: number): void {
    this.#values.set(prefixId(prefix), value);
  }

  /** Forgets what is known of a prefix; its slot is the first to go but for the anchor in it. True if it had one. */
  release(prefix: PrefixRef): boolean {
    const id = prefixId(prefix);
    this.#values.delete(id);
    const slot = this.slotOf(prefix);
    if (!slot) return false;
    slot.prefix = { agent: prefix.agent };
    slot.tokens = this.#anchorOf(slot);
    slot.pinnedUntil = 0;
    return true;
  }

  /** Keeps a slot from being given away until then; false when the prefix has none or one slot would be left at most. */
  pin(prefix: PrefixRef, now: number, until: number): boolean {
    const slot = this.slotOf(prefix);
    const free = this.#slots.filter(({ pinnedUntil }) => pinnedUntil <= now).length;
    if (!slot || (free <= 1 && slot.pinnedUntil <= now)) return false;
    slot.pinnedUntil = until;
    return true;
  }

  /** A request of this prefix began. */
  begin(prefix: PrefixRef): void {
    const id = prefixId(prefix);
    this.#underWay.set(id, (this.#underWay.get(id) ?? 0) + 1);
  }

  /** It ended; `anchorShare` is the anchor's share of its prompt, in [0, 1]. */
  end(prefix: PrefixRef, tokens: number | undefined, anchorShare: number): void {
    const id = prefixId(prefix);
    countDown(this.#underWay, id);
    const wasAdrift = countDown(this.#adrift, id);
    if (tokens === undefined) return;
    this.#anchors.set(prefix.agent, Math.round(tokens * anchorShare));
    const slot = this.slotOf(prefix);
    if (slot && !wasAdrift) this.filled(slot.index, tokens);
  }

  isUnderWay(prefix: PrefixRef): boolean {
    return this.#underWay.has(prefixId(prefix));
  }

  slotOf(prefix: PrefixRef): Slot | undefined {
    const id = prefixId(prefix);
    return this.#slots.find((slot) => slot.prefix !== undefined && prefixId(slot.prefix) === id);
  }

  /**
   * The slot for a request: its own, else the one to give up; the same again until that changes. Undefined when all are busy,
   * and as long as a request is under way that got none: nobody knows which slot that one takes, and a request that names a
   * busy slot waits for it although others are free.
   */
  claim(prefix: PrefixRef, now: number): number | undefined {
    const slot = this.isOverrun ? undefined : (this.slotOf(prefix) ?? this.#victim(prefix, now));
    if (!slot) {
      const id = prefixId(prefix);
      if ((this.#adrift.get(id) ?? 0) < (this.#underWay.get(id) ?? 0))
        this.#adrift.set(id, (this.#adrift.get(id) ?? 0) + 1);
      return undefined;
    }
    this.#assign(slot, prefix);
    return slot.index;
  }

  /** More requests are under way than there are slots, or were until just now. */
  get isOverrun(): boolean {
    return this.#adrift.size > 0;
  }

  /**
   * The slot to prefetch into: its own, or one whose content is worth less than `worth` expected tokens. Also tells what
   * gets lost, so that it can be saved first. The slot counts as busy until `filled` or `vacate`.
   */
  hold(prefix: PrefixRef, now: number, worth: number): HeldSlot | undefined {
    const own = this.slotOf(prefix);
    const slot = this.isOverrun ? undefined : (own ?? this.#victim(prefix, now));
    if (!slot || (!own && this.#worth(slot) > worth)) return undefined;
    const displaced = own ? undefined : slot.prefix;
    const lost = slot.tokens;
    this.#assign(slot, prefix);
    slot.isHeld = true;
    return { index: slot.index, displaced, lost, kept: slot.tokens };
  }

  /** What a slot holds now. */
  filled(index: number, tokens: number): void {
    const slot = this.#slots[index];
    if (!slot) return;
    slot.isHeld = false;
    slot.tokens = tokens;
  }

  /** Nothing is in the slot any more. */
  vacate(index: number): void {
    const slot = this.#slots[index];
    if (slot) Object.assign(slot, { prefix: undefined, tokens: 0, isHeld: false, pinnedUntil: 0 });
  }

  #assign(slot: Slot, prefix: PrefixRef): void {
    slot.usedAt = ++this.#clock;
    if (slot.prefix !== undefined && prefixId(slot.prefix) === prefixId(prefix)) return;
    slot.tokens = slot.prefix?.agent === prefix.agent ? this.#anchorOf(slot) : 0;
    slot.prefix = prefix;
  }

  #victim(prefix: PrefixRef, now: number): Slot | undefined {
    let best: Slot | undefined;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (const slot of this.#slots) {
      const isBusy = slot.isHeld || (slot.prefix !== undefined && this.isUnderWay(slot.prefix));
      if (isBusy || slot.pinnedUntil > now) continue;
      const score = (slot.prefix?.agent === prefix.agent ? this.#anchorOf(slot) : 0) - this.#worth(slot);
      if (score < bestScore || (score === bestScore && best && slot.usedAt >= best.usedAt)) continue;
      best = slot;
      bestScore = score;
    }
    return best;
  }

  /** Expected tokens to compute again when the slot's content is lost. An anchor that another slot has as well is no loss. */
  #worth(slot: Slot): number {
    const { prefix, tokens, index } = slot;
    if (!prefix) return 0;
    const anchorTokens = this.#anchorOf(slot);
    const isAlone = !this.#slots.some(
      (other) => other.index !== index && other.prefix?.agent === prefix.agent,
    );
    const own = prefix.run === undefined ? 0 : (this.#values.get(prefixId(prefix)) ?? UNKNOWN_VALUE);
    return own * (tokens - anchorTokens) + (isAlone ? this.#anchorValue(prefix.agent) : 0) * anchorTokens;
  }

  #anchorOf({ prefix, tokens }: Slot): number {
    return prefix ? Math.min(tokens, this.#anchors.get(prefix.agent) ?? 0) : 0;
  }

  #anchorValue(agent: AgentId): number {
    return this.#values.get(prefixId({ agent })) ?? UNKNOWN_VALUE;
  }
}

/** Takes one off; true if there was one. */
function countDown(counts: Map<string, number>, id: string): boolean {
  const count = counts.get(id) ?? 0;
  if (count > 1) counts.set(id, count - 1);
  else counts.delete(id);
  return count > 0;
}
