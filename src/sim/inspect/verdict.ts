import type { AnchorSummary } from "./anchors.ts";
import type { ReuseSummary } from "./reuse.ts";
import type { SizeResult } from "./sizes.ts";
import type { TransitionSummary } from "./transitions.ts";

/** Whether a policy that knows agents and runs can beat LRU here, and by what. Gains are points of hit rate. */
export interface Verdict {
  /** Null when the workload is too short to tell. */
  readonly can_gain: boolean | null;
  /** The size at which most can be gained, in percent of the working set. */
  readonly at_percent: number | null;
  /** What the order oracle hits more than LRU there: the bound for a policy that learns from runs. */
  readonly learnable: number | null;
  /** The part of it that LRU gains by letting go of ended runs at once. */
  readonly from_release: number | null;
  /** The part that is then left in blocks that several runs use: anchors and whatever else is the same in them. */
  readonly from_anchors: number | null;
  /** The part that is then left in blocks of one run: it takes knowing who comes next. */
  readonly from_prediction: number | null;
  /** The same in words, a sentence each. */
  readonly sentences: readonly string[];
}

interface Evidence {
  /** Calls that were replayed. */
  readonly calls: number;
  readonly sizes: readonly SizeResult[];
  readonly reuse: ReuseSummary;
  readonly anchors: AnchorSummary;
  readonly transitions: TransitionSummary;
}

/** Points of hit rate; what is less is lost in the difference between two seeds. */
const WORTH_WHILE = 1;
/** Below this many calls another recording of the same app may look different. */
const ENOUGH_CALLS = 100;

export function judge(evidence: Evidence): Verdict {
  const best = evidence.sizes.reduce<SizeResult | undefined>(
    (found, size) => (found && learnable(found) >= learnable(size) ? found : size),
    undefined,
  );
  if (!best) return tooShort();
  const gain = learnable(best);
  const release = points(best.lru_with_release - best.lru);
  const anchors = points(best.shared_gain);
  const figures = {
    can_gain: gain >= WORTH_WHILE,
    at_percent: best.percent,
    learnable: gain,
    from_release: release,
    from_anchors: anchors,
    from_prediction: gain - release - anchors,
  };
  const sentences = figures.can_gain
    ? [
        headline(best, gain),
        aboutRelease(release),
        aboutAnchors(anchors, evidence.anchors),
        aboutPrediction(figures.from_prediction, evidence.transitions),
      ]
    : whyNot(best, gain, evidence);
  const caution = `Only ${evidence.calls} calls were looked at: record more before you rely on this.`;
  return { ...figures, sentences: evidence.calls < ENOUGH_CALLS ? [...sentences, caution] : sentences };
}

function headline({ percent, lru, order_oracle, belady }: SizeResult, gain: number): string {
  return (
    `This workload can gain: up to ${gain.toFixed(1)} points of hit rate over LRU for a policy that learns from runs, at ` +
    `${percent} % of the working set (LRU ${share(lru)}, order oracle ${share(order_oracle)}, Belady ${share(belady)}).`
  );
}

function aboutRelease(gain: number): string {
  return `Release: ${amount(gain)} from LRU that lets go of ended runs at once.`;
}

function aboutAnchors(gain: number, { distinct, shared, shared_share }: AnchorSummary): string {
  const anchors =
    distinct === 0
      ? "no call has an anchor on record"
      : `${shared} of ${distinct} anchors are shared by runs and make ${share(shared_share)} of all prompt blocks`;
  return `Anchors: ${amount(gain)} from keeping blocks that several runs use; ${anchors}.`;
}

function aboutPrediction(gain: number, { switches, entropy }: TransitionSummary): string {
  const text = `Prediction: ${amount(gain)} from knowing which run's own history is used next`;
  if (entropy === null) return `${text}; no run has two calls.`;
  const lowered =
    `knowing the current agent lowers the entropy of the next by ${share(entropy.reduction)} to ` +
    `${entropy.next_given_current.toFixed(2)} bits`;
  if (switches === null) return `${text}; the agent never changes inside a run.`;
  return (
    `${text}; where the agent changes, the most frequent successor is right ${share(switches.top1)} of the time ` +
    `(${share(switches.top1_so_far)} as counts grow, ${share(switches.top1_any)} without knowing who is current), and ${lowered}.`
  );
}

function whyNot(best: SizeResult, gain: number, { reuse, sizes }: Evidence): readonly string[] {
  const gap = Math.max(...sizes.map(({ lru, belady }) => points(belady - lru)));
  const first =
    `This workload cannot gain: at no size does a policy that learns from runs find ${WORTH_WHILE} point of hit rate more than LRU ` +
    `(most: ${gain.toFixed(1)} points at ${best.percent} % of the working set).`;
  if (gap >= WORTH_WHILE)
    return [
      first,
      `Belady is up to ${gap.toFixed(1)} points above LRU, but only by knowing how runs interleave or which begin next; recorded times may tell.`,
    ];
  const largest = Math.max(...sizes.map(({ blocks }) => blocks));
  const half = reuse.distance_blocks?.p50 ?? 0;
  if (half > largest)
    return [
      first,
      `Half of all reuse comes after ${half} other blocks or more, beyond the largest of these caches (${largest} blocks): only a larger one can help.`,
    ];
  const again = reuse.same_run + reuse.other_run;
  return [
    first,
    `Belady does not either: ${share(again)} of the block touches are of blocks used before, and LRU has nearly all of them that a cache of its size can have.`,
  ];
}

function tooShort(): Verdict {
  const unknown = {
    can_gain: null,
    at_percent: null,
    learnable: null,
    from_release: null,
    from_anchors: null,
    from_prediction: null,
  };
  return {
    ...unknown,
    sentences: ["Too short to tell: no prompt fills a single block; record longer ones."],
  };
}

function learnable({ order_oracle, lru }: SizeResult): number {
  return points(order_oracle - lru);
}

function points(part: number): number {
  return 100 * part;
}

function share(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}

function amount(gain: number): string {
  if (gain >= WORTH_WHILE) return `${gain.toFixed(1)} points`;
  return gain > -WORTH_WHILE
    ? `next to nothing (${gain.toFixed(1)} points)`
    : `a loss (${gain.toFixed(1)} points)`;
}
