import { rounded } from "./state.ts";
import { type Changes, Waits } from "./waits.ts";

/** Whether the call before a gap asked for tools: unknown (which counts all gaps), no, yes. */
const KINDS = 3;
/** Intervals between calls that are averaged. */
const INTERVALS = 64;
/** Before this many gaps were seen, every run is taken to be as fast as any other. */
const LEAST_SAMPLES = 16;

/** Multiples of the time after which a run is not expected to call again for which is told what a run is worth that may be over. */
const TAIL = [1, 4, 16];

/** Waits, and the sum and number of all gaps. */
export interface PaceState {
  /** By what was asked for before the gap: all, no tools, tools. */
  readonly gaps: readonly string[];
  readonly calls: string;
  readonly cycles: string;
  readonly sum: number;
  readonly total: number;
}

/** Milliseconds. */
export interface StepTimes {
  /** Between two calls, of whatever runs. */
  readonly tick: number;
  /** That a step takes an average run. */
  readonly step: number;
}

/**
 * How fast a run goes on, by the clock: a run in the middle of its tools is back in seconds, one that waits for a
 * person may not be back for an hour, and what has been idle for long stays idle for long.
 */
export class Pace {
  readonly #gaps = Array.from({ length: KINDS }, () => new Waits());
  readonly #calls = new Waits();
  /** From one call's begin to the next one's. */
  readonly #cycles = new Waits();
  /** Of all gaps: the mean is what others are compared with. */
  #sum = 0;
  #total = 0;
  /** See `longest`. */
  #longest: number | undefined;
  /** Gaps seen since that was measured. */
  #unmeasured = 0;
  #latest = Number.NaN;
  /** Mean time between two calls of any run, over the last ones by an exponential average. */
  #tick = 0;
  #intervals = 0;
  /** The answer given last, until something is counted: a run's prefixes are asked about one after the other. */
  #asked = { kind: 0, elapsed: Number.NaN, pace: 1 };

  snapshot(): PaceState {
    return {
      gaps: this.#gaps.map((gaps) => gaps.snapshot()),
      calls: this.#calls.snapshot(),
      cycles: this.#cycles.snapshot(),
      sum: rounded(this.#sum),
      total: rounded(this.#total),
    };
  }

  /** Adds what another process counted. */
  restore({ gaps, calls, cycles, sum, total }: PaceState): void {
    for (const [kind, counts] of gaps.entries()) this.#gaps[kind]?.restore(counts);
    this.#calls.restore(calls);
    this.#cycles.restore(cycles);
    this.#sum += sum;
    this.#total += total;
    if (this.#total >= LEAST_SAMPLES) this.#measure();
    this.#asked.elapsed = Number.NaN;
  }

  /** Some run calls. */
  called(now: number): void {
    this.#asked.elapsed = Number.NaN;
    if (this.#latest <= now) {
      this.#intervals++;
      this.#tick += (now - this.#latest - this.#tick) / INTERVALS;
    }
    this.#latest = now;
  }

  /** A run called again so many milliseconds after its last answer, and after its last call began. */
  gap(kind: number, milliseconds: number, cycle: number): void {
    this.#cycles.add(cycle);
    this.#gaps[0]?.add(milliseconds);
    if (kind !== 0) this.#gaps[kind]?.add(milliseconds);
    this.#sum += milliseconds;
    this.#total++;
    if (++this.#unmeasured >= LEAST_SAMPLES) this.#measure();
  }

  /** A call was answered after so many milliseconds. */
  answered(milliseconds: number): void {
    this.#asked.elapsed = Number.NaN;
    this.#calls.add(milliseconds);
  }

  /**
   * Steps that a run is expected to make in the time in which an average run makes one; 1 while little is known.
   *
   * @param kind what its last call asked for; undefined while it is under way.
   * @param elapsed milliseconds since its last call ended, or began when it is under way.
   */
  relative(kind: number | undefined, elapsed: number): number {
    if (this.#total < LEAST_SAMPLES || this.#sum <= 0) return 1;
    const asked = this.#asked;
    if (asked.kind === (kind ?? -1) && asked.elapsed === elapsed) return asked.pace;
    const mean = this.#sum / this.#total + this.#tick;
    asked.kind = kind ?? -1;
    asked.elapsed = elapsed;
    asked.pace = mean * this.#back(kind, elapsed, this.#gapAfter(kind));
    return asked.pace;
  }

  /**
   * How `relative` will change, see `Waits.changes`; empty while little is known.
   *
   * @param ifOver of a run that may be over, what comes of `relative`.
   */
  outlook(
    kind: number | undefined,
    elapsed: number,
    ifOver?: (relative: number, elapsed: number) => number,
  ): Changes {
    if (this.#total < LEAST_SAMPLES || this.#sum <= 0) return [];
    const gap = this.#gapAfter(kind);
    const seen = kind === undefined ? this.#cycles : this.#gaps[kind];
    if (!ifOver) return seen?.changes(elapsed, (at) => this.#back(kind, at, gap)) ?? [];
    const mean = this.#sum / this.#total + this.#tick;
    const rate = (at: number) => ifOver(mean * this.#back(kind, at, gap), at);
    const now = rate(elapsed);
    const longest = this.#longest;
    if (now === 0 || longest === undefined) return [];
    const tail = TAIL.map((times) => Math.max(elapsed, times * longest));
    return [
      ...(seen?.changes(elapsed, rate) ?? []),
      ...tail.map((at) => [at - elapsed, rate(at) / now] as const),
    ];
  }

  /** Share of gaps that are longer than so many milliseconds. */
  longer(kind: number, elapsed: number): number {
    const own = this.#gaps[kind];
    return (own && own.samples >= LEAST_SAMPLES ? own : this.#gaps[0])?.longer(elapsed) ?? 0;
  }

  /** Milliseconds of silence after which a run is not expected to call again; undefined while little is known. */
  get longest(): number | undefined {
    return this.#longest;
  }

  /**
   * Milliseconds within which one run in ten is back; 0 while little is known.
   *
   * @param kind what its last call asked for, and the time counts from its end; undefined: from its begin.
   */
  soonest(kind: number | undefined): number {
    if (this.#total < LEAST_SAMPLES) return 0;
    return (kind === undefined ? this.#cycles : this.#gaps[kind])?.quantile(0.1) ?? 0;
  }

  /** Undefined while little is known, or where time stands still. Runs may all be of one call: then there are no gaps. */
  get times(): StepTimes | undefined {
    if (this.#intervals < LEAST_SAMPLES || this.#tick <= 0) return undefined;
    return { tick: this.#tick, step: this.#sum / Math.max(1, this.#total) + this.#tick };
  }

  #measure(): void {
    this.#unmeasured = 0;
    this.#longest = Math.max(...this.#gaps.map((gaps) => gaps.longest));
  }

  /** Rate per millisecond at which a run is back: a call under way has to end, and then the gap. */
  #back(kind: number | undefined, elapsed: number, gapMs: number): number {
    if (kind !== undefined) return this.#gaps[kind]?.rate(elapsed, this.#tick) ?? 0;
    return 1 / (1 / this.#calls.rate(elapsed, this.#tick) + gapMs);
  }

  /** Milliseconds that a gap takes which has not begun yet; 0 for a run that is in one. */
  #gapAfter(kind: number | undefined): number {
    return kind === undefined ? 1 / (this.#gaps[0]?.rate(0, this.#tick) ?? 0) : 0;
  }
}
