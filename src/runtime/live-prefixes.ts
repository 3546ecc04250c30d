import { type PrefixRef, promptOf } from "./action.ts";
import type { AgentId, AnchorEvent, Event, Identity, RequestStartEvent, RunId, SessionId } from "./event.ts";
import { CommonLead } from "./common-lead.ts";
import type { OutgoingCall } from "./engine.ts";
import { Newest } from "./newest.ts";
import { NEVER, type Predictor, type Prefixes, type PrefixSubject } from "./policy.ts";

/** Open runs kept; runs whose end is never seen leave oldest first. */
const MAX_RUNS = 10_000;
const MAX_SUSPENDED = 1024;
/** Anchors kept, and prefixes of one run: names of agents may be made up as they go. Of more, the one unused longest goes. */
const MAX_ANCHORS = 256;
const MAX_PREFIXES = 256;
/** Requests on another branch than the first that are remembered; the end of some is never seen. */
const MAX_REQUESTS = 10_000;
const NONE: readonly never[] = [];

/** Changed in place: there may be many, and each is used many times. */
interface LivePrefix extends PrefixSubject {
  tokens: number;
  usedAt: number;
}

interface LiveAnchor extends LivePrefix {
  readonly common: CommonLead;
  readonly lead: number;
}

/**
 * The prefixes that may be used again: one per (run, agent) while the run is open, several where the agent goes to and fro between
 * prompts, and one anchor per agent.
 *
 * A run that ends on a session keeps its prefixes until the session's next run takes them over: it may be a
 * chat, or have been interrupted. What they are worth is for the predictor to say.
 */
export class LivePrefixes implements Prefixes {
  /** By run. */
  readonly #runs = new Map<RunId, LivePrefix[]>();
  readonly #anchors = new Map<AgentId, LiveAnchor>();
  readonly #suspended = new Map<SessionId, RunId>();
  readonly #replaced: PrefixRef[] = [];
  /** By request under way: the branch that it goes on with, where that is not its agent's first. */
  readonly #branches = new Newest<string, number>(MAX_REQUESTS);
  readonly #predictor: Pick<Predictor, "tokens" | "branch">;

  /** @param predictor has taken in each event before this does. */
  constructor(predictor: Pick<Predictor, "tokens" | "branch">) {
    this.#predictor = predictor;
  }

  get openRuns(): number {
    return this.#runs.size - this.#suspended.size;
  }

  observe(event: Event): void {
    if (event.type === "run-start") this.#resume(event.run, event.session);
    else if (event.type === "request-start") this.#request(event);
    else if (event.type === "request-end") this.#branches.delete(event.request);
    else if (event.type === "anchor") this.#declare(event);
    else if (event.type === "run-end" && event.session !== undefined) this.#suspend(event.run, event.session);
  }

  /** The prefix that a request under way is of. */
  promptOf({ agent, run }: Identity, request: string | undefined): PrefixRef & { readonly run: RunId } {
    return promptOf(agent, run, (request === undefined ? undefined : this.#branches.get(request)) ?? 0);
  }

  /** A call with what is known of its prompt. */
  describe(call: OutgoingCall): OutgoingCall {
    const lead = this.#anchors.get(call.identity.agent)?.lead ?? 0;
    const { branch } = this.promptOf(call.identity, call.request);
    return lead === 0 && branch === undefined
      ? call
      : { ...call, ...(lead > 0 && { lead }), ...(branch !== undefined && { branch }) };
  }

  /** Live prefixes of a run; empty when unknown. List and prefixes change as the run goes on. */
  of(run: RunId): readonly PrefixSubject[] {
    return this.#runs.get(run) ?? NONE;
  }

  anchor(agent: AgentId): PrefixSubject | undefined {
    return this.#anchors.get(agent);
  }

  anchors(): Iterable<PrefixSubject> {
    return this.#anchors.values();
  }

  /** Forgets a run and returns what it held. */
  end(run: RunId): readonly PrefixSubject[] {
    const held = this.of(run);
    this.#runs.delete(run);
    return held;
  }

  /** Prefixes replaced by newer ones since the last call, or dropped because there were too many: nobody will ask for them again. */
  takeReplaced(): readonly PrefixRef[] {
    return this.#replaced.length === 0 ? NONE : this.#replaced.splice(0);
  }

  #request(event: RequestStartEvent): void {
    const { agent, run, at, prompt } = event;
    let characters = prompt.anchor.length;
    const anchor = this.#anchors.get(agent) ?? this.#addAnchor(agent);
    anchor.common.observe(run, prompt);
    this.#use(anchor, characters + anchor.common.characters, at);
    for (const part of prompt.history) characters += part.length;
    const branch = this.#predictor.branch(run, agent);
    if (branch > 0) this.#branches.set(event.request, branch);
    const prefixes = this.#open(run);
    const place = prefixes.findIndex((known) => known.agent === agent && (known.branch ?? 0) === branch);
    const known = prefixes[place];
    if (known && known.run === run) return this.#use(known, characters, at);
    const tokens = this.#predictor.tokens(characters);
    const prefix: LivePrefix =
      branch === 0 ? { agent, run, tokens, usedAt: at } : { agent, run, branch, tokens, usedAt: at };
    if (!known) {
      if (prefixes.length >= MAX_PREFIXES) this.#replaced.push(takeOldest(prefixes));
      prefixes.push(prefix);
      return;
    }
    this.#replaced.push(promptOf(agent, known.run as RunId, branch));
    prefixes[place] = prefix;
  }

  #declare({ agent, anchor }: AnchorEvent): void {
    if (!this.#anchors.has(agent)) this.#addAnchor(agent).tokens = this.#predictor.tokens(anchor.length);
  }

  #addAnchor(agent: AgentId): LiveAnchor {
    if (this.#anchors.size >= MAX_ANCHORS) this.#dropAnchor();
    const common = new CommonLead();
    const anchor: LiveAnchor = {
      agent,
      tokens: 0,
      usedAt: NEVER,
      common,
      get lead() {
        return common.messages;
      },
    };
    this.#anchors.set(agent, anchor);
    return anchor;
  }

  #dropAnchor(): void {
    const unused = unusedLongest([...this.#anchors.values()]);
    this.#anchors.delete(unused.agent);
    this.#replaced.push(unused);
  }

  #use(prefix: LivePrefix, characters: number, at: number): void {
    prefix.tokens = this.#predictor.tokens(characters);
    prefix.usedAt = at;
  }

  #open(run: RunId): LivePrefix[] {
    const known = this.#runs.get(run);
    if (known) return known;
    if (this.#runs.size >= MAX_RUNS) {
      const oldest = this.#runs.keys().next().value;
      if (oldest !== undefined) this.#replaced.push(...this.end(oldest));
    }
    const prefixes: LivePrefix[] = [];
    this.#runs.set(run, prefixes);
    return prefixes;
  }

  #suspend(run: RunId, session: SessionId): void {
    if (!this.#runs.has(run)) return;
    this.#letGo(session);
    const oldest = this.#suspended.keys().next().value;
    if (this.#suspended.size >= MAX_SUSPENDED && oldest !== undefined) this.#letGo(oldest);
    this.#suspended.set(session, run);
  }

  #letGo(session: SessionId): void {
    const run = this.#suspended.get(session);
    if (run === undefined) return;
    this.#suspended.delete(session);
    this.#replaced.push(...this.end(run));
  }

  #resume(run: RunId, session: SessionId | undefined): void {
    const earlier = session === undefined ? undefined : this.#suspended.get(session);
    if (session === undefined || earlier === undefined) return;
    this.#suspended.delete(session);
    const prefixes = this.#runs.get(earlier);
    if (!prefixes) return;
    this.#runs.delete(earlier);
    this.#runs.set(run, prefixes);
  }
}

/** The first of those used longest ago. */
function unusedLongest<T extends PrefixSubject>(prefixes: readonly T[]): T {
  return prefixes.reduce((first, one) => (one.usedAt < first.usedAt ? one : first));
}

function takeOldest(prefixes: LivePrefix[]): LivePrefix {
  const first = unusedLongest(prefixes);
  prefixes.splice(prefixes.indexOf(first), 1);
  return first;
}

/** The prefix used last: it carries most of the run's history. @param agent whose; default: of any. */
export function newest(prefixes: readonly PrefixSubject[], agent?: AgentId): PrefixSubject | undefined {
  let latest: PrefixSubject | undefined;
  for (const prefix of prefixes)
    if ((agent === undefined || prefix.agent === agent) && (!latest || prefix.usedAt >= latest.usedAt))
      latest = prefix;
  return latest;
}
