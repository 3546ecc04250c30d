import type { AgentId } from "../runtime/event.ts";

/** Gaps of this many steps and more are told apart no further. */
const MAX_GAP = 32;
/** Agents with statistics of their own; others use everybody's. Bounds the state. */
const MAX_AGENTS = 256;

/** How often an agent came back after exactly g steps, and how often its run ended g steps after its last call. */
interface Gaps {
  readonly returned: Uint32Array;
  readonly ended: Uint32Array;
  samples: number;
  /** value[g]: expectation of 1/(1+T) given g steps of absence, T counted from then; rebuilt when stale. */
  readonly value: Float64Array;
  stale: boolean;
}

/**
 * Return times: in how many steps does an agent act again, given how long it has been away?
 *
 * Gaps are life times: a return is the event, the end of the run means "never". The distribution given an
 * absence of g steps is that of all gaps longer than g (the empirical survival curve). An agent's own curve is
 * shrunk towards everybody's with the weight of one sample.
 */
export class Returns {
  readonly #agents = new Map<AgentId, Gaps>();
  readonly #all = gaps();

  /** The agent acted again `gap` >= 1 steps after its previous call. */
  returned(agent: AgentId, gap: number): void {
    for (const target of [this.#own(agent), this.#all])
      if (target) add(target, target.returned, Math.min(gap, MAX_GAP));
  }

  /** The run ended `gap` >= 0 steps after the agent's last call. */
  ended(agent: AgentId, gap: number): void {
    for (const target of [this.#own(agent), this.#all])
      if (target) add(target, target.ended, Math.min(gap + 1, MAX_GAP));
  }

  /**
   * Expectation of 1/(1+T), in [0, 1]: T >= 1 is the steps until the agent acts, given that `absence` >= 0
   * steps have passed since its last call; "never" counts 0. Without any sample: 1/2 for everything.
   */
  value(agent: AgentId, absence: number): number {
    const everybody = read(this.#all, absence, 0.5);
    const own = this.#agents.get(agent);
    return own ? read(own, absence, everybody) : everybody;
  }

  *entries(): Generator<readonly [AgentId, readonly number[], readonly number[]]> {
    for (const [agent, { returned, ended }] of this.#agents) yield [agent, [...returned], [...ended]];
  }

  add([agent, returned, ended]: readonly [AgentId, readonly number[], readonly number[]]): void {
    for (const target of [this.#own(agent), this.#all]) {
      if (!target) continue;
      for (let gap = 0; gap <= MAX_GAP; gap++) {
        const back = returned[gap] ?? 0;
        const over = ended[gap] ?? 0;
        target.returned[gap] = (target.returned[gap] ?? 0) + back;
        target.ended[gap] = (target.ended[gap] ?? 0) + over;
        target.samples += back + over;
      }
      target.stale = true;
    }
  }

  #own(agent: AgentId): Gaps | undefined {
    let own = this.#agents.get(agent);
    if (!own && this.#agents.size < MAX_AGENTS) this.#agents.set(agent, (own = gaps()));
    return own;
  }
}

function gaps(): Gaps {
  return {
    returned: new Uint32Array(MAX_GAP + 1),
    ended: new Uint32Array(MAX_GAP + 1),
    samples: 0,
    value: new Float64Array(MAX_GAP + 1),
    stale: false,
  };
}

function add(target: Gaps, counts: Uint32Array, gap: number): void {
  counts[gap] = (counts[gap] ?? 0) + 1;
  target.samples++;
  target.stale = true;
}

/** Mean over the gaps longer than `absence`, with one sample's weight of `fallback` mixed in. */
function read(target: Gaps, absence: number, fallback: number): number {
  if (target.stale) rebuild(target);
  const g = Math.min(absence, MAX_GAP - 1);
  const longer = target.value[g] ?? 0;
  let samples = 0;
  for (let gap = g + 1; gap <= MAX_GAP; gap++)
    samples += (target.returned[gap] ?? 0) + (target.ended[gap] ?? 0);
  return (longer * samples + fallback) / (samples + 1);
}

function rebuild(target: Gaps): void {
  const { returned, ended, value } = target;
  for (let absence = 0; absence < MAX_GAP; absence++) {
    let samples = 0;
    let sum = 0;
    for (let gap = absence + 1; gap <= MAX_GAP; gap++) {
      samples += (returned[gap] ?? 0) + (ended[gap] ?? 0);
      sum += (returned[gap] ?? 0) / (1 + gap - absence);
    }
    value[absence] = samples === 0 ? 0 : sum / samples;
  }
  target.stale = false;
}
