/** Gaps of this many steps and more are told apart no further. */
const MAX_GAP = 32;
/** Tables are rebuilt when the samples behind them have grown by this factor, so that their cost amortises. */
const REBUILD_GROWTH = 1.05;

/** How often an agent came back after exactly g steps, and how often its run ended g steps after its last call. */
interface Gaps {
  readonly returned: Float32Array;
  readonly ended: Float32Array;
  samples: number;
  /** Samples at which the tables are due again. */
  due: number;
  /** value[g]: expectation of 1/(1+T) given g steps of absence, T counted from then. */
  readonly value: Float32Array;
  /** support[g]: samples of more than g steps. */
  readonly support: Float32Array;
}

/**
 * Return times: in how many steps does an agent act again, given how long it has been away?
 *
 * Gaps are life times: a return is the event, the end of the run means "never". The distribution given an
 * absence of g steps is that of all gaps longer than g (the empirical survival curve). An agent's own curve is
 * shrunk towards everybody's with the weight of one sample.
 */
export class Returns {
  /** By agent index. */
  readonly #agents: (Gaps | undefined)[] = [];
  readonly #all = gaps();

  /** The agent acted again `gap` >= 1 steps after its previous call. */
  returned(agent: number, gap: number): void {
    const at = Math.min(gap, MAX_GAP);
    count(this.#all, this.#all.returned, at, 1);
    const own = (this.#agents[agent] ??= gaps());
    count(own, own.returned, at, 1);
  }

  /** The run ended `gap` >= 0 steps after the agent's last call. */
  ended(agent: number, gap: number): void {
    const at = Math.min(gap + 1, MAX_GAP);
    count(this.#all, this.#all.ended, at, 1);
    const own = (this.#agents[agent] ??= gaps());
    count(own, own.ended, at, 1);
  }

  /**
   * Expectation of 1/(1+T), in [0, 1]: T >= 1 is the steps until the agent acts, given that `absence` >= 0
   * steps have passed since its last call; "never" counts 0. Without any sample: 1/2 for everything.
   */
  value(agent: number, absence: number): number {
    const g = Math.min(absence, MAX_GAP - 1);
    const everybody = read(this.#all, g, 0.5);
    const own = this.#agents[agent];
    return own ? read(own, g, everybody) : everybody;
  }

  /** `[agent index, returned by gap, ended by gap]`, without trailing zeros. */
  *entries(): Generator<readonly [number, readonly number[], readonly number[]]> {
    for (const [agent, own] of this.#agents.entries())
      if (own) yield [agent, trimmed(own.returned), trimmed(own.ended)];
  }

  add([agent, returned, ended]: readonly [number, readonly number[], readonly number[]]): void {
    const own = (this.#agents[agent] ??= gaps());
    for (const target of [own, this.#all])
      for (let gap = 1; gap <= MAX_GAP; gap++) {
        count(target, target.returned, gap, returned[gap] ?? 0);
        count(target, target.ended, gap, ended[gap] ?? 0);
      }
  }
}

function trimmed(counts: Float32Array): readonly number[] {
  return [...counts.subarray(0, counts.findLastIndex((value) => value > 0) + 1)];
}

const table = () => new Float32Array(MAX_GAP + 1);

function gaps(): Gaps {
  return { returned: table(), ended: table(), samples: 0, due: 0, value: table(), support: table() };
}

function count(target: Gaps, counts: Float32Array, gap: number, weight: number): void {
  counts[gap] = (counts[gap] ?? 0) + weight;
  target.samples += weight;
}

/** Mean over the gaps longer than `absence`, with one sample's weight of `fallback` mixed in. */
function read(target: Gaps, absence: number, fallback: number): number {
  if (target.samples > target.due) rebuild(target);
  const support = target.support[absence] ?? 0;
  return ((target.value[absence] ?? 0) * support + fallback) / (support + 1);
}

function rebuild(target: Gaps): void {
  const { returned, ended, value, support } = target;
  for (let absence = 0; absence < MAX_GAP; absence++) {
    let samples = 0;
    let sum = 0;
    for (let gap = absence + 1; gap <= MAX_GAP; gap++) {
      samples += (returned[gap] ?? 0) + (ended[gap] ?? 0);
      sum += (returned[gap] ?? 0) / (1 + gap - absence);
    }
    support[absence] = samples;
    value[absence] = samples === 0 ? 0 : sum / samples;
  }
  target.due = target.samples * REBUILD_GROWTH;
}
