import type { Event, PromptPart } from "../runtime/event.ts";
import { CHARACTERS_PER_TOKEN } from "../runtime/prompt-text.ts";
import type { Schedule, ScheduledCall } from "../sim/schedule.ts";

/** Where nobody recorded times: one call each second, and it takes half of one. */
const UNTIMED_STEP_MS = 1000;

/** What an app that made these calls would have told; the cached tokens are those of a simulated cache. */
export function* recordedEvents(schedule: Schedule, hitsByCall: Int32Array): Generator<Event> {
  const { calls, workload, isTimed } = schedule;
  const { blockTokens } = workload;
  const seen = new Set<number>();
  const parts: (PromptPart | undefined)[] = [];
  const part = (block: number): PromptPart =>
    (parts[block] ??= { hash: String(block), length: blockTokens * CHARACTERS_PER_TOKEN });
  const pending = new Endings();
  for (const [index, scheduled] of calls.entries()) {
    const { call, recorded, run: number } = scheduled;
    const at = startOf(scheduled, isTimed);
    yield* pending.until(at);
    const identity = { run: runOf(scheduled), agent: call.agent, namespace: call.namespace ?? "" };
    if (!seen.has(number)) {
      seen.add(number);
      yield { type: "run-start", at, run: identity.run, graph: workload.name, ...session(scheduled) };
    }
    const { blocks, anchorBlocks } = call;
    const last = blocks[anchorBlocks - 1];
    yield {
      type: "request-start",
      at,
      ...identity,
      ...(call.step !== undefined && { step: call.step }),
      request: String(index),
      prompt: {
        anchor: {
          hash: `${anchorBlocks}/${last ?? call.agent}`,
          length: anchorBlocks * blockTokens * CHARACTERS_PER_TOKEN,
        },
        history: Array.from(blocks.subarray(anchorBlocks), part),
      },
    };
    const took = isTimed ? (call.durationMs ?? 0) : UNTIMED_STEP_MS / 2;
    pending.add({
      type: "request-end",
      at: at + took,
      ...identity,
      request: String(index),
      status: "completed",
      usage: {
        promptTokens: call.promptTokens,
        outputTokens: call.outputTokens,
        cachedTokens: Math.min(call.promptTokens, (hitsByCall[index] ?? 0) * blockTokens),
      },
      ...(call.callsTools !== undefined && { callsTools: call.callsTools }),
    });
    if (scheduled.isLast)
      pending.add({
        type: "run-end",
        at: at + took,
        run: identity.run,
        status: recorded.status ?? "completed",
        ...session(scheduled),
      });
  }
  yield* pending.until(Number.POSITIVE_INFINITY);
}

/** Milliseconds from a recording's first event to its last. */
export function spanOf({ calls, isTimed }: Schedule): readonly [from: number, until: number] {
  const [first, last] = [calls[0], calls.at(-1)];
  if (!first || !last) return [0, 0];
  return [startOf(first, isTimed), startOf(last, isTimed)];
}

function startOf({ at }: ScheduledCall, isTimed: boolean): number {
  return isTimed ? at : at * UNTIMED_STEP_MS;
}

/** A recorded run may be opened more than once. */
function runOf({ recorded, run }: ScheduledCall): string {
  return `${recorded.id}/${run}`;
}

function session({ recorded }: ScheduledCall): { readonly session?: string } {
  return recorded.session === undefined ? {} : { session: recorded.session };
}

/** Events that are still to come, in the order of their time. */
class Endings {
  readonly #events: Event[] = [];

  add(event: Event): void {
    let place = this.#events.length;
    while (place > 0 && (this.#events[place - 1]?.at ?? 0) > event.at) place--;
    this.#events.splice(place, 0, event);
  }

  *until(time: number): Generator<Event> {
    for (let next = this.#events[0]; next && next.at <= time; next = this.#events[0]) {
      this.#events.shift();
      yield next;
    }
  }
}
