import type { CallRef } from "./call.ts";
import type { AgentId, RunId } from "./event.ts";

/** Names one KV prefix: an agent's anchor, or the prompt of one agent in one run. */
export interface PrefixRef {
  readonly agent: AgentId;
  /** Absent for the anchor (system message and tools), which every run of the agent shares. */
  readonly run?: RunId;
  /** Which of an agent's anchors, by hash; empty: what they all begin with; default: its latest. */
  readonly anchor?: string;
  /** Which of the agent's prompts in the run, where it goes to and fro between several, from 1 on; absent or 0: the first one. */
  readonly branch?: number;
}

/** Wire name of a prefix: stable, unique, opaque to engines. No node of LangGraph has a name with `|`. */
export function prefixId({ agent, run, branch }: PrefixRef): string {
  return run === undefined ? `anchor/${agent}` : `run/${run}/${branchName(agent, branch)}`;
}

/** Names what is fetched ahead: of an agent's prompts in a run it is one at a time, whichever branch it is of. */
export function fetchId({ agent, run }: PrefixRef): string {
  return prefixId(run === undefined ? { agent } : { agent, run });
}

/** Names a branch among the prefixes of its run. */
export function branchName(agent: AgentId, branch = 0): string {
  return branch === 0 ? agent : `${agent}|${branch}`;
}

/** An agent's prompt in a run. @param branch the first one, 0, is not told apart from an agent that has one only. */
export function promptOf(agent: AgentId, run: RunId, branch: number): PrefixRef & { readonly run: RunId } {
  return branch === 0 ? { agent, run } : { agent, run, branch };
}

/**
 * What the value will be unless something happens: `[milliseconds from now, value]`, in order, straight lines between
 * them, the last one stays. A run whose tools have nearly finished is worth more than one that has just begun.
 */
export type LaterValues = readonly (readonly [afterMs: number, value: number])[];

/** Keep softly: `value` in [0, 1] orders prefixes under pressure, higher is kept longer. */
export interface RetainHint {
  readonly type: "retain";
  readonly prefix: PrefixRef;
  readonly value: number;
  readonly later?: LaterValues | undefined;
  /** Its last part, where that is worth less than what stands before it; absent: the whole prefix has one value. */
  readonly tail?: TailValue | undefined;
  /** Milliseconds from now after which the value no longer counts; absent: until the next word. */
  readonly ttlMs?: number;
}

/** The end of a prompt that the next one will hardly have: a question that is replaced, documents that were looked up for it. */
export interface TailValue {
  /** Estimated tokens of it. */
  readonly tokens: number;
  /** In [0, 1], as that of the prefix. */
  readonly value: number;
  readonly later?: LaterValues | undefined;
}
/** Nobody will ask for this prefix again. */
export interface ReleaseHint {
  readonly type: "release";
  readonly prefix: PrefixRef;
}
/** Put a prefix in cache before it is asked for, displacing only what is worth less than `value`. */
export interface PrefetchHint {
  readonly type: "prefetch";
  readonly prefix: PrefixRef;
  readonly value: number;
  readonly later?: LaterValues;
  /** Probability that the prefix is asked for next, and the expected prompt tokens it saves then. */
  readonly probability: number;
  readonly tokens: number;
  /** Characters at the end of the prompt that is gone on from which are left out, since the next one hardly has them; absent: none. */
  readonly without?: number;
  /** Milliseconds from now before which it would only take up room; absent: none. */
  readonly afterMs?: number;
  /** Request body to prefill, attached on the way out; the runtime itself never holds prompt text. */
  readonly body?: unknown;
}
/** Keep for certain; only engines that guarantee it list this verb. */
export interface PinHint {
  readonly type: "pin";
  readonly prefix: PrefixRef;
  readonly ttlMs?: number;
}
/** Drop now. */
export interface EvictHint {
  readonly type: "evict";
  readonly prefix: PrefixRef;
}
/** Withdraw a prefetch that is queued or under way; what is computed already stays cached. */
export interface CancelHint {
  readonly type: "cancel";
  readonly prefix: PrefixRef;
}

/**
 * Run the node of `prefix.agent` in `prefix.run` before it is known to be next, while `from` is at work. Carried out by the
 * framework side and not by an engine.
 */
export interface SpeculateHint {
  readonly type: "speculate";
  readonly prefix: PrefixRef & { readonly run: RunId };
  readonly from: AgentId;
  /** Probability, in [0, 1], that the result is used. */
  readonly probability: number;
  /** Expected prompt and output tokens of the node. */
  readonly tokens: number;
}

/** What each verdict has: the waiting call that it is about. */
interface OnCall {
  readonly call: CallRef;
  /** One sentence, for the ledger and for whoever is told. */
  readonly reason?: string;
}
/** Let it go on. */
export interface AdmitVerdict extends OnCall {
  readonly type: "admit";
  /** Where it goes among the calls that the engine has, in [0, 1], higher first; absent: by what its run was given. */
  readonly priority?: number;
}
/** Let it wait, and ask again when something has changed, at the latest after `forMs` milliseconds. */
export interface HoldVerdict extends OnCall {
  readonly type: "hold";
  readonly forMs: number;
  readonly reason: string;
}
/**
 * Send a model call to this server, by its base URL: one of the moment's workers, which the adapter then treats as its own
 * choice, with failover and all, or any other address. A late request is made there as well.
 */
export interface RouteVerdict extends OnCall {
  readonly type: "route";
  readonly baseURL: string;
}
/** Answer it with this, and do not make it. */
export interface ReuseVerdict extends OnCall {
  readonly type: "reuse";
  readonly output: unknown;
}
/** Let a human decide, by a LangGraph interrupt with this question. */
export interface AskVerdict extends OnCall {
  readonly type: "ask";
  readonly question: string;
}
/** Stop it: the graph sees an ActionDeniedError. */
export interface DenyVerdict extends OnCall {
  readonly type: "deny";
  readonly reason: string;
}

/** Advice to an engine, which may ignore it. */
export type Hint = RetainHint | ReleaseHint | PrefetchHint | PinHint | EvictHint | CancelHint;
/** Advice that engines and the framework side are given. */
export type Advice = Hint | SpeculateHint;
/** Binding: the answer to a waiting call. */
export type Verdict = AdmitVerdict | HoldVerdict | RouteVerdict | ReuseVerdict | AskVerdict | DenyVerdict;
/** With what a call leaves the gate. */
export type FinalVerdict = Exclude<Verdict, HoldVerdict>;
/** What the runtime decides. */
export type Action = Advice | Verdict;
export type ActionType = Action["type"];
export type HintType = Hint["type"];

/** Tells verdicts from hints; by the verb, since hints come in many shapes and a look for a field would be slow. */
export function isVerdict(action: Action): action is Verdict {
  switch (action.type) {
    case "admit":
    case "hold":
    case "route":
    case "reuse":
    case "ask":
    case "deny":
      return true;
    default:
      return false;
  }
}

/** What became of advice: what the engine, or the application, did with it, or that other advice or the budget left no room for it. */
export type Settlement = Outcome | { readonly status: "dropped"; readonly reason: string };

/** What an engine did with one hint. */
export interface Outcome {
  readonly status: "applied" | "ignored" | "rejected" | "failed" | "cancelled";
  /** One sentence, for the ledger. */
  readonly reason?: string;
  /** Prompt tokens computed (prefetch) or freed (release, evict); prompt and output tokens spent in vain (speculate). */
  readonly tokens?: number;
}
