/** Milliseconds over which is averaged: over many calls, and still able to follow a load that changes. */
const WINDOW_MS = 5000;

/** Share of the time in which at least one model call was under way, of late. */
export class BusyShare {
  #share = 1;
  #underWay = 0;
  #since: number | undefined;

  /** In [0, 1]; 1 before anything is known. */
  at(now: number): number {
    this.#advance(now);
    return this.#share;
  }

  started(now: number): void {
    this.#advance(now);
    this.#underWay++;
  }

  ended(now: number): void {
    this.#advance(now);
    this.#underWay = Math.max(0, this.#underWay - 1);
  }

  #advance(now: number): void {
    const passed = Math.max(0, now - (this.#since ?? now));
    this.#since = now;
    const weight = 1 - Math.exp(-passed / WINDOW_MS);
    this.#share += ((this.#underWay > 0 ? 1 : 0) - this.#share) * weight;
  }
}
