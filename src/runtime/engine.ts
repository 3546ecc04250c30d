import type { z } from "zod";
import type { Hint, HintType, Outcome } from "./action.ts";
import type { CacheEvent } from "./cache-event.ts";
import type { Event, Identity } from "./event.ts";

/** What an engine turned out to be when it was asked. */
export interface EngineInfo {
  readonly engine: string;
  readonly version?: string;
  readonly models: readonly string[];
  /** Tokens per cache block, when the engine tells. */
  readonly blockTokens?: number;
}

/** Prompts that an engine was asked for. */
export interface PromptTotals {
  readonly requests: number;
  readonly promptTokens: number;
  /** Of these, found in its cache. */
  readonly cachedTokens: number;
}

/** What an engine holds and does at the moment, as far as it tells; absent is not known, which is not 0. */
export interface EngineStatus {
  /** Tokens of KV cache there is room for, and of those in use; shared prefixes count once. */
  readonly capacityTokens?: number;
  readonly residentTokens?: number;
  /** Requests being computed, and requests waiting. */
  readonly running?: number;
  readonly waiting?: number;
  /** What apps asked of it since the connection began, by the engine's own counters: warm-ups are left out. */
  readonly served?: Partial<PromptTotals>;
  /** Prompt tokens computed ahead since it started: all, asked for later, gone before anyone asked. */
  readonly prefetch?: { readonly computed: number; readonly used: number; readonly wasted: number };
  /** Each server's own, where an adapter stands for several; the numbers above are then sums over those that answered. */
  readonly replicas?: readonly ReplicaStatus[];
}

/** One of several servers. */
export interface ReplicaStatus {
  readonly baseURL: string;
  /** It answered; false leaves `status` out. */
  readonly isUp: boolean;
  readonly status?: EngineStatus;
}

/** A model request on its way out. Adapters see where it goes and for whom, never its messages. */
export interface OutgoingCall {
  readonly url: string;
  readonly identity: Identity;
  /** Names it in its events; absent where nobody tells any. */
  readonly request?: string;
  /** In [0, 1], higher goes first: a policy's word, else that of the run; absent: as any other, which is 0.5. */
  readonly priority?: number;
  /** Base URL of the server that a policy chose; absent: the adapter chooses. */
  readonly worker?: string;
  /** Which of its agent's prompts in the run it goes on with, as `PrefixRef.branch`; absent: the first one. */
  readonly branch?: number;
  /** Messages after its system messages with which the agent's prompts begin alike in every run; absent is 0. */
  readonly lead?: number;
  /** It is under way elsewhere already: whatever comes of it, its run stays where it is. */
  readonly isRepeat?: boolean;
}

/** One of the servers that may take a call, as policies see them. */
export interface Worker {
  readonly baseURL: string;
  /** It answered when it was last asked. */
  readonly isUp: boolean;
  /** This application's model calls that were sent there and have not ended. */
  readonly underWay: number;
  /** Those that it has answered, as it told in its answers. */
  readonly served?: PromptTotals;
}

/** Fields and headers to add to a request. What the user set already wins over both. */
export interface Decoration {
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Marks deep inside the body, where no field reaches: is given the parsed body with the fields added, and returns the one
   * to send, or undefined to leave it. Must not change what it was given, nor override what the user set.
   */
  readonly edit?: (body: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>> | undefined;
}

/** Which of several servers takes a call. */
export interface Route {
  /** Base URL of that server, ending like the adapter's own. */
  readonly baseURL: string;
  /** To be told once: whether the server answered at all, whatever it said. */
  settled(isAnswered: boolean): void;
}

/** What an engine may be able to do: verbs, and to serve calls of higher priority before others that came first. */
export type Ability = HintType | "priority";

/** How an engine does it: itself, or by a technique on top of plain requests. */
export type Support = "native" | "emulated";

/** Translates to one serving engine. Field names, units and priority polarity live here and nowhere else. */
export interface EngineAdapter {
  readonly specificationVersion: "v1";
  readonly name: string;
  readonly supports: Readonly<Partial<Record<Ability, Support>>>;
  /** Prefetches that it takes at once; others wait, the most probable goes first. Default: 16. */
  readonly prefetchesAtOnce?: number;
  /** Base URL for OpenAI-compatible clients, ending in `/v1`. */
  readonly baseURL: string;
  /** Key for clients that insist on one, when the engine needs none of the user's. */
  readonly apiKey?: string;
  /** What the adapter itself asked for, such as prefetches; the engine counts it among the app's requests. */
  readonly warmUps?: PromptTotals | undefined;
  /** Probes the engine. Rejects with EngineError when it cannot be reached or is something else. */
  connect(signal?: AbortSignal): Promise<EngineInfo>;
  /** Pure: what to add to this request, given what was decided about its prefix. */
  decorate?(call: OutgoingCall, decisions: readonly Hint[]): Decoration;
  /** Told of every event when it happens, so that an adapter knows what is under way. Returns at once, never throws. */
  observe?(event: Event): void;
  /** Told of the headers that answered a call, whatever its status. Returns at once. */
  answered?(call: OutgoingCall, headers: Headers): void;
  /**
   * Where a call goes, for adapters that stand for several servers; the others have one place only. A `worker` that is down
   * is not taken; undefined when it is none of theirs.
   */
  route?(call: OutgoingCall): Route | undefined;
  /** The servers that it stands for; left out by those with one. */
  workers?(): readonly Worker[];
  /** Token ids of the prompt that the server makes of a request body, its template applied. */
  tokenize?(body: unknown, signal?: AbortSignal): Promise<readonly number[]>;
  /** Carries out hints; one outcome each, in order; never rejects; aborting cancels what is under way. */
  apply(hints: readonly Hint[], signal?: AbortSignal): Promise<readonly Outcome[]>;
  /** What it holds and does now; absent where it does not tell. Rejects with EngineError when the engine does not answer. */
  readonly status?: ((signal?: AbortSignal) => Promise<EngineStatus>) | undefined;
  /**
   * True where the user named its event streams: they are read from the connection on until it is closed. Others, such as those
   * that a server announces itself, are read once somebody takes an interest.
   */
  readonly readsEvents?: boolean;
  /** What the engine tells of its cache; ends with the signal. */
  events?(signal?: AbortSignal): AsyncIterable<CacheEvent>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** What a server may have to be started with, in the words to add to its command line or configuration. */
export type Remedies = Readonly<Partial<Record<"cached tokens" | "metrics" | "events" | Ability, string>>>;

/** An engine adapter as a file in `engines/` declares it. */
export interface EngineDefinition<Schema extends z.ZodType = z.ZodType> {
  readonly name: string;
  readonly description: string;
  /** Real software that this adapter was seen working with; absent: written to documentation alone. */
  readonly seen?: string;
  /** True where each request costs money, so that nothing is sent on trial. */
  readonly isBilled?: boolean;
  /** Environment variable that its key is usually kept in, for command lines; default `OPENAI_API_KEY`. */
  readonly keyVariable?: string;
  readonly remedies?: Remedies;
  /** Fields of a request that its scheduler goes by, and which are refused where it does not: what is taken then counts. */
  readonly priorityFields?: Readonly<Record<string, unknown>>;
  /** Strict object schema; `url` is set when the user gave one. */
  readonly options: Schema;
  create(options: z.output<Schema>): EngineAdapter;
}
