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
  /** What LRU gains by letting go of ended runs at once. */
  readonly from_release: number | null;
  /** What is left of the learnable gain then: it takes knowing who comes next. */
  readonly from_prediction: number | null;
  /** The part of the learnable gain that is in blocks that several runs use. */
  readonly in_shared_blocks: number | null;
  /** The same in words, a sentence each. */
  readonly sentences: readonly string[];
}

interface Evidence {
  readonly sizes: readonly SizeResult[];
  readonly reuse: ReuseSummary;
  readonly anchors: AnchorSummary;
  readonly transitions: TransitionSummary;
}

/** Points of hit rate; what is less is lost in the difference between two seeds. */
const WORTH_WHILE = 1;

export function judge(evidence: Evidence): Verdict {
  const best = evidence.sizes.reduce<SizeResult | undefined>(
    (found, size) => (found && learnable(found) >= learnable(size) ? found : size),
    undefined,
  );
  if (!best) return tooShort(evidence.reuse);
  const gain = learnable(best);
  const release = points(best.lru_with_release - best.lru);
  const figures = {
    can_gain: gain >= WORTH_WHILE,
    at_percent: best.percent,
    learnable: gain,
    from_release: release,
    from_prediction: gain - release,
    in_shared_blocks: best.shared_gain,
  };
  const sentences = figures.can_gain
    ? [
        headline(best, gain),
        aboutRelease(release),
        aboutPrediction(gain - release, evidence.transitions),
        aboutAnchors(best.shared_gain, evidence.anchors),
      ]
    : whyNot(best, gain, evidence);
  return { ...figures, sentences };
}

function headline({ percent, lru, order_oracle, belady }: SizeResult, gain: number): string {
  return (
    `This workload can gain: up to ${gain.toFixed(1)} points of hit rate over LRU for a policy that learns from runs, at ` +
    `${percent} % of the working set (LRU ${share(lru)}, order oracle ${share(order_oracle)}, Belady ${share(belady)}).`
  );
}

function aboutRelease(gain: number): string {
  if (gain < WORTH_WHILE)
    return `Release alone: little; LRU that lets go of ended runs at once changes by ${signed(gain)} points.`;
  return `Release alone: LRU that lets go of ended runs at once gains ${gain.toFixed(1)} of these points.`;
}

function aboutPrediction(gain: number, { switches, entropy }: TransitionSummary): string {
  const known =
    switches === null || entropy === null
      ? "agents never change inside a run, so that only the time of the next call can be predicted"
      : `where the agent changes, the most frequent successor is right ${share(switches.top1)} of the time ` +
        `(${share(switches.top1_so_far)} as counts grow, ${share(switches.top1_any)} without knowing who is current), and knowing ` +
        `the current agent lowers the entropy of the next by ${share(entropy.reduction)} to ${entropy.next_given_current.toFixed(2)} bits`;
  if (gain < WORTH_WHILE) return `Prediction: little is left for it, ${signed(gain)} points; ${known}.`;
  return `Prediction: the other ${gain.toFixed(1)} points take knowing what comes next; ${known}.`;
}

function aboutAnchors(gain: number, { distinct, shared, shared_share }: AnchorSummary): string {
  const anchors =
    distinct === 0
      ? "no call has an anchor on record"
      : `${shared} of ${distinct} anchors are shared by runs and make ${share(shared_share)} of all prompt blocks`;
  if (gain < WORTH_WHILE)
    return `Anchors: blocks that several runs use account for ${signed(gain)} points; ${anchors}.`;
  return `Anchors: ${gain.toFixed(1)} of the points are in blocks that several runs use; ${anchors}.`;
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

function tooShort({ touches, first }: ReuseSummary): Verdict {
  const unknown = {
    can_gain: null,
    at_percent: null,
    learnable: null,
    from_release: null,
    from_prediction: null,
    in_shared_blocks: null,
  };
  const sentence =
    "Too short to tell: a working set is measured every 50 calls. " +
    `Of ${touches} block touches ${share(1 - first)} are of blocks used before; record more runs.`;
  return { ...unknown, sentences: [sentence] };
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

function signed(value: number): string {
  return `${value < 0 ? "" : "+"}${value.toFixed(1)}`;
}
