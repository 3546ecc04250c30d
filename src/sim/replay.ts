import { setImmediate } from "node:timers/promises";
import type { Arrival, Baseline, CachePolicy } from "./cache-policy.ts";
import type { Schedule, ScheduledCall } from "./schedule.ts";

/** What a replay came to. */
export interface Outcome {
  readonly calls: number;
  /** Block touches: the blocks of all prompts. */
  readonly touches: number;
  /** Touches found in cache, contiguous from the prompt's start. */
  readonly hits: number;
  readonly evictions: number;
  /** Blocks computed ahead of time: those that a later prompt found, and the others. */
  readonly prefetch: { readonly used: number; readonly wasted: number };
  /** Hits of each call, for times and for cuts. */
  readonly hitsByCall: Int32Array;
  /** Microseconds that the policy took per call, when asked for. */
  readonly decisionUs: readonly number[];
}

export interface ReplayOptions {
  /** Blocks. */
  readonly capacity: number;
  /** Blocks that the engine has the time to compute ahead between two calls. Default: 0. */
  readonly prefetchBlocks?: number;
  /** Milliseconds, to time decisions by. */
  readonly now?: () => number;
}

/** Milliseconds after which others have their turn: a person who presses Ctrl-C waits no longer than this. */
const TURN_MS = 100;

/** Plays a schedule through a block cache at once. */
export function replay(schedule: Schedule, baseline: Baseline, options: ReplayOptions): Outcome {
  const calls = play(schedule, baseline, options);
  for (;;) {
    const { done, value } = calls.next();
    if (done) return value;
  }
}

/** The same, with pauses in which signals are heard. Rejects with the signal's reason when it aborts. */
export async function replayInTurns(
  schedule: Schedule,
  baseline: Baseline,
  { signal, ...options }: ReplayOptions & { readonly signal?: AbortSignal | undefined },
): Promise<Outcome> {
  const calls = play(schedule, baseline, options);
  for (let turn = Number.NEGATIVE_INFINITY; ;) {
    if (performance.now() - turn > TURN_MS) {
      await setImmediate();
      signal?.throwIfAborted();
      turn = performance.now();
    }
    const { done, value } = calls.next();
    if (done) return value;
  }
}

/**
 * Plays a schedule through a block cache. A prompt's blocks hit as long as they are contiguous from its start; then the
 * whole prompt is inserted, and the policy names blocks to evict until the cache fits. Where there is time to compute ahead,
 * the policy may then name blocks to bring. Yields after each call.
 */
function* play(
  schedule: Schedule,
  baseline: Baseline,
  options: ReplayOptions,
): Generator<undefined, Outcome, undefined> {
  const { calls, workload } = schedule;
  const { capacity, now, prefetchBlocks = 0 } = options;
  const resident = new Uint8Array(workload.blockCount);
  const policy = baseline.create({
    capacity,
    blockTokens: workload.blockTokens,
    blockCount: workload.blockCount,
    isResident: (block) => resident[block] === 1,
    isTimed: schedule.isTimed,
    seed: schedule.seed,
    future: calls,
    schedule,
  });
  const completions = new Completions(policy);
  const hitsByCall = new Int32Array(calls.length);
  const decisionUs: number[] = [];
  const ahead = new Ahead(workload.blockCount);
  let [size, touches, hits, evictions] = [0, 0, 0, 0];
  const evict = () => {
    if (baseline.isUnbounded === true) return;
    while (size > capacity) {
      const victim = policy.victim(size - capacity);
      if (resident[victim] !== 1)
        throw new Error(`${baseline.name} evicts block ${victim}, which is not in cache`);
      resident[victim] = 0;
      size--;
      evictions++;
      ahead.gone(victim);
    }
  };
  for (const [index, scheduled] of calls.entries()) {
    const { blocks } = scheduled.call;
    completions.until(scheduled.at);
    let hit = 0;
    while (hit < blocks.length && resident[blocks[hit] as number] === 1) hit++;
    hitsByCall[index] = hit;
    hits += hit;
    ahead.asked(blocks, hit);
    touches += blocks.length;
    for (const block of blocks)
      if (resident[block] === 0) {
        resident[block] = 1;
        size++;
      }
    const started = now?.() ?? 0;
    policy.request(toArrival(scheduled, index));
    evict();
    if (now) decisionUs.push((now() - started) * 1000);
    completions.add(scheduled, schedule.isTimed);
    const fetched = prefetchBlocks > 0 ? (policy.prefetch?.(prefetchBlocks, capacity - size) ?? []) : [];
    for (const block of fetched) {
      if (resident[block] === 1)
        throw new Error(`${baseline.name} prefetches block ${block}, which is in cache`);
      resident[block] = 1;
      size++;
      ahead.fetched(block);
    }
    evict();
    yield;
  }
  completions.until(Number.POSITIVE_INFINITY);
  policy.finished?.();
  const prefetch = { used: ahead.used, wasted: ahead.fetches - ahead.used };
  return { calls: calls.length, touches, hits, evictions, prefetch, hitsByCall, decisionUs };
}

function toArrival({ call, run, recorded, at }: ScheduledCall, index: number): Arrival {
  const { agent, blocks, anchorBlocks, step, namespace } = call;
  return { index, run, session: recorded.session, agent, blocks, anchorBlocks, step, namespace, at };
}

/** What was computed ahead, and whether a prompt found it. */
class Ahead {
  fetches = 0;
  used = 0;
  readonly #waiting: Uint8Array;

  constructor(blockCount: number) {
    this.#waiting = new Uint8Array(blockCount);
  }

  fetched(block: number): void {
    this.#waiting[block] = 1;
    this.fetches++;
  }

  gone(block: number): void {
    this.#waiting[block] = 0;
  }

  /** A prompt came, of which the first `hits` blocks were there. What stands behind a gap is computed anew. */
  asked(blocks: Int32Array, hits: number): void {
    if (this.fetches === 0) return;
    for (const [at, block] of blocks.entries()) {
      if (at < hits) this.used += this.#waiting[block] as number;
      this.#waiting[block] = 0;
    }
  }
}

/** Requests under way, told to the policy in the order in which they end; a run ends with the last of its own. */
class Completions {
  readonly #policy: CachePolicy;
  /** By run. */
  readonly #underWay = new Map<number, number>();
  /** Runs whose last call has begun. */
  readonly #closing = new Set<number>();
  /** Sorted by end, latest first. */
  readonly #pending: { readonly scheduled: ScheduledCall; readonly end: number }[] = [];

  constructor(policy: CachePolicy) {
    this.#policy = policy;
  }

  add(scheduled: ScheduledCall, isTimed: boolean): void {
    const end = isTimed ? scheduled.at + (scheduled.call.durationMs ?? 0) : scheduled.at;
    let at = this.#pending.length;
    while (at > 0 && (this.#pending[at - 1]?.end ?? 0) <= end) at--;
    this.#pending.splice(at, 0, { scheduled, end });
    this.#underWay.set(scheduled.run, (this.#underWay.get(scheduled.run) ?? 0) + 1);
    if (scheduled.isLast) this.#closing.add(scheduled.run);
    if (!isTimed) this.until(end);
  }

  until(time: number): void {
    for (let next = this.#pending.at(-1); next && next.end <= time; next = this.#pending.at(-1)) {
      this.#pending.pop();
      const { call, run, recorded } = next.scheduled;
      const { agent, promptTokens, outputTokens, callsTools } = call;
      this.#policy.completed?.({ run, agent, at: next.end, promptTokens, outputTokens, callsTools });
      const others = (this.#underWay.get(run) ?? 1) - 1;
      this.#underWay.set(run, others);
      // Calls of a run may overlap, so that its last to begin is not its last to end.
      if (others > 0 || !this.#closing.delete(run)) continue;
      this.#underWay.delete(run);
      this.#policy.ended?.(run, recorded.status ?? "completed");
    }
  }
}
