import { randomBytes } from "node:crypto";
import type { Host } from "../langgraph/host.ts";
import type { Clock } from "../runtime/clock.ts";
import type {
  Event,
  Identity,
  RequestEndEvent,
  RequestStartEvent,
  RunEndEvent,
  RunId,
  SessionId,
} from "../runtime/event.ts";
import {
  answerOf,
  estimatedTokens,
  BLOCK_TOKENS,
  promptBlocks,
  promptText,
  type PromptBlockIds,
} from "../runtime/prompt-text.ts";
import { BlockDeltas } from "./block-delta.ts";
import { blockId, keyedHash } from "./keyed-hash.ts";

/** Runs and calls whose end nobody tells are forgotten beyond this many. */
const MAX_OPEN = 4096;
const MAX_WORK_MS = 5;
const NOTHING: PromptBlockIds = { blocks: [], anchorBlocks: 0, characters: 0 };

/** What a recorder works with. */
export interface RecorderParts {
  readonly key: string;
  /** Counts from the recording's start. */
  readonly clock: Clock;
  /** Takes whole lines, line ends included. */
  readonly write: (lines: string) => void;
  /** Does some work soon, but not now. */
  readonly later: (work: () => void) => void;
  /** Told of what went wrong in here; the recording may lack something then. */
  readonly onFault: (error: unknown) => void;
}

interface OpenRun {
  /** Of the file; of this run only, whatever its id. */
  readonly session: string;
  readonly thread: string | undefined;
  readonly startedAt: number;
  readonly prompts: BlockDeltas;
  hasLines: boolean;
}

interface OpenCall {
  readonly run: OpenRun;
  readonly identity: Identity;
  readonly startedAt: number;
  prompt: PromptBlockIds;
  answerCharacters: number;
}

/**
 * Writes a line for each model call when it ends, and one for the end of each run. What it keeps of a prompt are hashes
 * and lengths: texts are read and hashed after the request has left, and let go.
 */
export class Recorder {
  /** Tells this recorder what an observer sees. */
  readonly host: Host;
  readonly #parts: RecorderParts;
  readonly #process = randomBytes(4).toString("hex");
  readonly #runs = new Map<RunId, OpenRun>();
  readonly #calls = new Map<string, OpenCall>();
  readonly #jobs: (() => string | undefined)[] = [];
  #sessions = 0;

  constructor(parts: RecorderParts) {
    this.#parts = parts;
    this.host = {
      clock: parts.clock,
      baseURL: "http://nowhere.invalid/",
      cacheHints: false,
      emit: (event) => this.#observe(event),
      prompt: (request, prompt, tools) => this.#prompt(request, prompt, tools),
      output: (request, output, fromCache) => this.#output(request, output, fromCache),
      decorate: () => undefined,
      requestBody: () => {},
      answer: () => {},
      fault: (_where, error) => parts.onFault(error),
      warn: () => {},
    };
  }

  /** Writes what is left, and the calls that are still open as far as they are known. */
  close(): void {
    this.#work();
    const left = [...this.#calls.values()].map((call) => this.#callLine(call));
    this.#calls.clear();
    if (left.length > 0) this.#parts.write(left.join(""));
  }

  #observe(event: Event): void {
    if (event.type === "run-start") this.#startRun(event.run, event.session, event.at);
    else if (event.type === "request-start") this.#startCall(event);
    else if (event.type === "request-end") this.#endCall(event);
    else if (event.type === "run-end") this.#endRun(event);
  }

  #startRun(id: RunId, session: SessionId | undefined, startedAt: number): OpenRun {
    if (this.#runs.size >= MAX_OPEN) this.#runs.delete(this.#runs.keys().next().value as RunId);
    const run: OpenRun = {
      session: `${this.#process}-${++this.#sessions}`,
      thread: session === undefined ? undefined : keyedHash(this.#parts.key, `thread ${session}`),
      startedAt,
      prompts: new BlockDeltas(),
      hasLines: false,
    };
    this.#runs.set(id, run);
    return run;
  }

  #startCall(event: RequestStartEvent): void {
    const { request, run: id, session, at } = event;
    const run = this.#runs.get(id) ?? this.#startRun(id, session, at);
    if (this.#calls.size >= MAX_OPEN) this.#calls.delete(this.#calls.keys().next().value as string);
    this.#calls.set(request, { run, identity: event, startedAt: at, prompt: NOTHING, answerCharacters: 0 });
  }

  #prompt(request: string, prompt: string | readonly unknown[], tools: unknown): void {
    const call = this.#calls.get(request);
    if (!call) return;
    // The list may grow before it is read; the messages in it do not change.
    const read = typeof prompt === "string" ? prompt : [...prompt];
    this.#later(() => {
      const text = promptText(read, tools) ?? promptText(JSON.stringify(read), tools);
      if (text) call.prompt = promptBlocks(text, (before, own) => blockId(this.#parts.key, before, own));
      return undefined;
    });
  }

  #output(request: string, output: unknown, fromCache: boolean): void {
    const call = this.#calls.get(request);
    if (fromCache) this.#calls.delete(request);
    else if (call)
      this.#later(() => {
        call.answerCharacters = answerOf(output).characters;
        return undefined;
      });
  }

  #endCall(event: RequestEndEvent): void {
    const call = this.#calls.get(event.request);
    if (!call) return;
    this.#calls.delete(event.request);
    call.run.hasLines = true;
    this.#later(() => this.#callLine(call, event));
  }

  #endRun({ run: id, at, status }: RunEndEvent): void {
    const run = this.#runs.get(id);
    this.#runs.delete(id);
    if (!run?.hasLines) return;
    const end = { session: run.session, end_ms: rounded(at - run.startedAt), status };
    this.#later(() => `${JSON.stringify(end)}\n`);
  }

  #callLine({ run, identity, startedAt, prompt, answerCharacters }: OpenCall, end?: RequestEndEvent): string {
    const { usage, callsTools } = end ?? {};
    const line = {
      session: run.session,
      agent: identity.agent,
      prompt_tokens: usage?.promptTokens ?? estimatedTokens(prompt.characters),
      output_tokens: usage?.outputTokens ?? estimatedTokens(answerCharacters),
      tok: usage?.promptTokens === undefined ? "chars4" : "usage",
      sys_tokens: prompt.anchorBlocks * BLOCK_TOKENS,
      run_start_ms: rounded(run.startedAt),
      start_ms: rounded(startedAt - run.startedAt),
      dur_ms: end && rounded(end.at - startedAt),
      thread: run.thread,
      superstep: identity.step,
      namespace: identity.namespace,
      calls_tools: callsTools,
      ...run.prompts.next(prompt.blocks),
    };
    return `${JSON.stringify(line)}\n`;
  }

  #later(job: () => string | undefined): void {
    this.#jobs.push(job);
    if (this.#jobs.length === 1) this.#parts.later(() => this.#work(MAX_WORK_MS));
  }

  /** Works jobs off in order, for some milliseconds at a time: the application may be waiting for its turn. */
  #work(limit = Number.POSITIVE_INFINITY): void {
    const { clock, write, later } = this.#parts;
    const started = clock.now();
    let lines = "";
    let done = 0;
    for (; done < this.#jobs.length && clock.now() - started < limit; done++)
      lines += this.#settled(this.#jobs[done]);
    this.#jobs.splice(0, done);
    if (lines !== "") write(lines);
    if (this.#jobs.length > 0) later(() => this.#work(limit));
  }

  /** A job that throws loses its line, or the prompt of one, and nothing else. */
  #settled(job: (() => string | undefined) | undefined): string {
    try {
      return job?.() ?? "";
    } catch (error) {
      this.#parts.onFault(error);
      return "";
    }
  }
}

/** Milliseconds to a thousandth. */
function rounded(milliseconds: number): number {
  return Math.max(0, Math.round(milliseconds * 1000) / 1000);
}
