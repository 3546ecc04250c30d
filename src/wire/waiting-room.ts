import type { AdmitVerdict, DenyVerdict } from "../runtime/action.ts";
import type { CallKind, CallRef, CallResult, CallSubject } from "../runtime/call.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Event } from "../runtime/event.ts";
import type { Decision, Gate, Repeats, Ruled } from "../runtime/gate.ts";

/** A call that waits, and who waits for it: a client may send one call twice at once, and both go when it may go. */
interface Guest {
  readonly call: CallSubject;
  readonly waiting: Set<(decision: Decision) => void>;
}

/**
 * Gives the pure gate its time: calls wait here as promises, and one timer wakes the gate when a hold ends.
 *
 * Nothing waits for another call's promise, so that nothing can wait for itself; the gate bounds every wait, and an
 * aborted call leaves at once.
 */
export class WaitingRoom {
  readonly #gate: Gate;
  readonly #clock: Clock;
  readonly #guests = new Map<string, Guest>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(gate: Gate, clock: Clock) {
    this.#gate = gate;
    this.#clock = clock;
  }

  get repeats(): Repeats {
    return this.#gate.repeats;
  }

  handles(kind: CallKind): boolean {
    return this.#gate.handles(kind);
  }

  failsClosed(kind: CallKind): boolean {
    return this.#gate.failsClosed(kind);
  }

  /** The decision, at once when nothing holds the call. Rejects with the signal's reason when that aborts first. */
  ask(call: CallSubject, signal?: AbortSignal): Decision | Promise<Decision> {
    signal?.throwIfAborted();
    if (this.#isClosed) return this.#withoutGate(call);
    let own: Decision | undefined;
    for (const ruled of this.#gate.arrive(call)) {
      if (ruled.call === call) own = ruled;
      else this.#release(ruled);
    }
    this.#schedule();
    return own ?? this.#wait(call, signal);
  }

  /** A call that was let go on has ended. */
  leave(call: CallRef, result: CallResult): void {
    this.#releaseAll(this.#gate.leave(call, result));
  }

  /** A human has answered what `policy` asked. */
  answer(call: CallSubject, policy: string, verdict: AdmitVerdict | DenyVerdict): void {
    this.#gate.answer(call, policy, verdict);
  }

  observe(event: Event): void {
    this.#releaseAll(this.#gate.observe(event));
  }

  /** Lets everyone go on, now and from now on, but for calls that a policy rates which fails closed. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#gate.close();
    for (const { call } of this.#guests.values()) this.#release({ call, ...this.#withoutGate(call) });
  }

  #withoutGate(call: CallSubject): Decision {
    if (!this.#gate.failsClosed(call.kind)) return { verdict: { type: "admit", call } };
    return {
      verdict: { type: "deny", call, reason: "cachesage is closed, and nobody can judge it any more" },
    };
  }

  #wait(call: CallSubject, signal: AbortSignal | undefined): Promise<Decision> {
    return new Promise((resolve, reject) => {
      const key = keyOf(call);
      const guest = this.#guests.get(key) ?? { call, waiting: new Set() };
      this.#guests.set(key, guest);
      const go = (decision: Decision) => {
        signal?.removeEventListener("abort", giveUp);
        resolve(decision);
      };
      const giveUp = () => {
        guest.waiting.delete(go);
        reject(signal?.reason as Error);
        if (guest.waiting.size > 0) return;
        this.#guests.delete(key);
        this.leave(call, { status: "cancelled" });
      };
      guest.waiting.add(go);
      signal?.addEventListener("abort", giveUp, { once: true });
    });
  }

  #releaseAll(ruled: readonly Ruled[]): void {
    for (const one of ruled) this.#release(one);
    this.#schedule();
  }

  #release(ruled: Ruled): void {
    const key = keyOf(ruled.call);
    const guest = this.#guests.get(key);
    this.#guests.delete(key);
    for (const go of guest?.waiting ?? []) go(ruled);
  }

  /** The timer keeps the process alive: a call that waits is work to do. */
  #schedule(): void {
    const at = this.#gate.nextWake ?? Number.POSITIVE_INFINITY;
    if (at === this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(
      () => {
        this.#timerAt = Number.POSITIVE_INFINITY;
        this.#releaseAll(this.#gate.wake());
      },
      Math.max(1, Math.ceil(at - this.#clock.now())),
    );
  }
}

function keyOf({ kind, id }: CallRef): string {
  return `${kind} ${id}`;
}
