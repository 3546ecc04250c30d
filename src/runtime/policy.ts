import type { z } from "zod";
import type { Action, ActionType, Advice, PrefixRef, Settlement, Verdict } from "./action.ts";
import type { CacheEvent } from "./cache-event.ts";
import type {
  CallKind,
  CallResult,
  LateRequestSubject,
  RequestSubject,
  ToolCallSubject,
  TransitionSubject,
} from "./call.ts";
import type { Clock } from "./clock.ts";
import type { Worker } from "./engine.ts";
import type { AgentId, Event, RunId } from "./event.ts";

/** A live KV prefix as a candidate for a policy. */
export interface PrefixSubject extends PrefixRef {
  /** Estimated tokens of the whole prefix. */
  readonly tokens: number;
  /** Clock time of its last use; NEVER for an anchor that is only known of. */
  readonly usedAt: number;
  /**
   * Of an anchor: messages after system message and tools that it takes in, since the agent's prompts begin with them alike
   * in one run and the next; absent is 0.
   */
  readonly lead?: number;
}

/** When something was used that no call has used yet. */
export const NEVER = Number.NEGATIVE_INFINITY;

/**
 * What policies rate, by kind: prefixes get hints, waiting calls get verdicts. Servers are no kind of their own: what one is
 * worth depends on the call, so that a policy finds them in the moment and answers the call with `route`.
 */
export interface SubjectMap {
  readonly prefix: PrefixSubject;
  readonly request: RequestSubject;
  readonly "late-request": LateRequestSubject;
  readonly "tool-call": ToolCallSubject;
  readonly transition: TransitionSubject;
}
/** The kind of thing that a policy rates. */
export type Subject = keyof SubjectMap;

/** `agent` runs next in `run` with this probability. */
export interface Prediction {
  readonly run: RunId;
  readonly agent: AgentId;
  /** In [0, 1]; the probabilities of one run sum to at most 1, the rest being its end. */
  readonly probability: number;
}

/** A candidate with its score in [0, 1]; higher is kept, sent or tried first. */
export interface Scored<S extends Subject> {
  readonly item: SubjectMap[S];
  readonly score: number;
}

/** The learned view of the future that policies share. Implemented in `learn/`. */
export interface Predictor {
  observe(event: Event): void;
  /** Probable next agents of a run, most probable first; empty for an unknown run. */
  next(run: RunId): readonly Prediction[];
  /**
   * Value of keeping a prefix, in [0, 1]: r/(1+r), r the best rate of uses per step that keeping it can earn. A step is a
   * model call of its run; for an anchor, a round of all open runs, so that both compare.
   *
   * @param fromEnd characters between what is asked for and the prefix's end: what is nearer to the end survives more
   * rarely until the next use. Default: infinite, the prefix's head.
   * @param fetchedAgain probability, in [0, 1], that what is dropped now is prefetched again before it is asked for.
   * Default: 0.
   */
  reuse(prefix: PrefixRef, fromEnd?: number, fetchedAgain?: number): number;
  /**
   * Which of the agent's branches in the run its latest prompt is of, from 0 on: an agent that goes to and fro between several
   * prompts has several. A number is given again once its branch is forgotten.
   */
  branch(run: RunId, agent: AgentId): number;
  /** The branch that the agent most probably goes on with when it calls next; 0 where it has not called yet. */
  nextBranch(run: RunId, agent: AgentId): number;
  /**
   * How the rate of uses of a run's prefixes will change as long as the run does not call: `[milliseconds from now, factor]`,
   * in order; empty while little is known.
   */
  outlook(run: RunId): readonly (readonly [afterMs: number, factor: number])[];
  /** Milliseconds from now before which the run's next call is unlikely (one in ten); 0 while little is known. */
  soonest(run: RunId): number;
  /** Share, in [0, 1], of the previous agent's history that this agent is expected to see as well. */
  sharedHistory(agent: AgentId): number;
  /**
   * Probability that the agent's next prompt in a run, after others have called, still has what ended so many characters
   * before the end of its previous one there.
   */
  keptHistory(agent: AgentId, fromEnd: number): number;
  /**
   * Characters at the end of an agent's prompt that its next one has less often than what stands before them, such as a question that
   * is replaced; 0: all survives alike.
   *
   * @param length characters of the prompt's history.
   */
  tail(agent: AgentId, length: number): number;
  /** Estimated tokens in this many characters of prompt, learned from reported usage. */
  tokens(characters: number): number;
  snapshot(): unknown;
  restore(state: unknown): void;
}

/** The decision a policy is asked for: something happened in `run`. */
export interface Moment {
  /** Of several that came at once, the run's end, or else its newest request, or else its next agents. */
  readonly event: Event;
  readonly run: RunId;
  readonly now: number;
  /**
   * Prefixes that nobody will ask for again since the last decision: the run ended, newer ones took their place, or there were
   * too many, anchors among them.
   */
  readonly gone: readonly PrefixRef[];
}

/** Calls wait at the gate: one has come, one has ended, or time has passed. */
export interface GateMoment {
  readonly now: number;
  /** Model calls under way, or tool calls: of the kind that is decided about. */
  readonly underWay: number;
  /** The engine itself serves calls of higher priority first; absent: it does not, or nothing is told to it. */
  readonly servesByPriority?: boolean;
  /** The servers that may take a model call; empty where there is one only, and for calls of other kinds. */
  readonly workers: readonly Worker[];
}

/** What a policy is told with each decision, by the kind of its subject. */
export type MomentOf<S extends Subject> = S extends "prefix" ? Moment : GateMoment;

/** The prefixes that may be used again, as policies see them. */
export interface Prefixes {
  readonly openRuns: number;
  of(run: RunId): readonly PrefixSubject[];
  /** System message and tools of an agent; undefined until it has made a request, or its anchor was made known. */
  anchor(agent: AgentId): PrefixSubject | undefined;
  anchors(): Iterable<PrefixSubject>;
}

/**
 * One policy at work. Every hook is optional, synchronous and O(1) in the number of open runs.
 *
 * At the gate, `act` gets all waiting calls of a kind, best first by the weighted mean of what the policies scored them; a
 * call without a verdict is admitted.
 */
export interface Policy<S extends Subject = Subject> {
  /** Weight of its scores among those of other policies; default 1. */
  readonly weight?: number;
  observe?(event: Event): void;
  /** What the engine tells of its cache, where it does. */
  observeCache?(event: CacheEvent): void;
  /** Adds to, or replaces, the shared predictor's view for this policy. */
  predict?(moment: MomentOf<S>): readonly Prediction[];
  /** Rates one candidate in [0, 1]; out-of-range and NaN are faults. */
  score?(item: SubjectMap[S], predictions: readonly Prediction[]): number;
  act?(
    ranked: readonly Scored<S>[],
    predictions: readonly Prediction[],
    moment: MomentOf<S>,
  ): Iterable<Action>;
  /**
   * Milliseconds, from now on, after which a model call that is let go on comes back as a `late-request` if it has no first
   * token by then (no answer, where it does not stream). Undefined: never. Of several policies the shortest counts.
   */
  patience?(call: RequestSubject): number | undefined;
  /** A call leaves the gate with this verdict, which may be another policy's. */
  decided?(call: SubjectMap[Extract<S, CallKind>], verdict: Verdict): void;
  /** A call that was let go on has ended, or one that waited was given up. */
  ended?(call: SubjectMap[Extract<S, CallKind>], result: CallResult): void;
  /** What became of a hint of its, once it is known: within the decision where it was dropped. */
  settled?(hint: Advice, outcome: Settlement): void;
  snapshot?(): unknown;
  restore?(state: unknown): void;
  /** The last call; nothing is asked of it any more. */
  close?(): void;
}

/** What a policy gets to work with. */
export interface PolicyContext<Options> {
  readonly options: Options;
  readonly clock: Clock;
  readonly predictor: Predictor;
  readonly prefixes: Prefixes;
  /** Opens a file that a policy keeps. Throws when it cannot be written. */
  readonly openLog?: (file: string) => PolicyLog;
}

/** A text file that only grows. */
export interface PolicyLog {
  /** Its last line when it was opened; undefined when it was empty. */
  readonly last: string | undefined;
  /** Milliseconds since 1970: logs outlive the runtime's clock. */
  now(): number;
  /** Adds one line, in the background. Throws once the file can no longer be written. */
  append(line: string): void;
  close(): void;
}

/** A policy as a file in `policies/` declares it. */
export interface PolicyDefinition<S extends Subject, Schema extends z.ZodType = z.ZodType> {
  readonly name: string;
  readonly description: string;
  /** The kind of thing it rates, or the kinds. */
  readonly subject: S | readonly S[];
  /** The verbs it may use; anything else it returns is dropped as a fault. */
  readonly actions: readonly ActionType[];
  /**
   * What a call gets that this policy could not judge because it failed: `open` (default) admits, `closed` denies. One that fails
   * closed and throws from `observe`, `score`, `decided` or `ended` denies all from then on: nobody knows what it has missed.
   */
  readonly onFault?: "open" | "closed";
  /** Strict object schema; types, defaults, help and tables come from it. */
  readonly options: Schema;
  create(context: PolicyContext<z.output<Schema>>): Policy<S>;
}

/** Types a policy definition; returns it unchanged. */
export function definePolicy<S extends Subject, Schema extends z.ZodType>(
  definition: PolicyDefinition<S, Schema>,
): PolicyDefinition<S, Schema> {
  return definition;
}
