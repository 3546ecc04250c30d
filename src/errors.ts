import { didYouMean } from "./nearest.ts";

const brand = Symbol.for("cachesage.error");

/** What went wrong, for programs: `code` of every error that cachesage throws. */
export type ErrorCode =
  | "INVALID_OPTIONS"
  | "UNKNOWN_NAME"
  | "MISSING_DEPENDENCY"
  | "ENGINE_UNREACHABLE"
  | "ENGINE_RESPONSE"
  | "ENGINE_UNSUPPORTED"
  | "STORE"
  | "EMBEDDED_MODEL"
  | "TRACE"
  | "ACTION_DENIED";

/** What an error may say beyond its message. */
export interface ErrorDetails {
  /** What to do about it; the CLI prints it on a line of its own. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** Base of every error cachesage throws. `isInstance` works across copies of the package. */
export class CacheSageError extends Error {
  readonly code: ErrorCode;
  readonly hint?: string;
  readonly [brand] = true;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(details.hint ? `${message}\n${details.hint}` : message, { cause: details.cause });
    this.name = "CacheSageError";
    this.code = code;
    if (details.hint !== undefined) this.hint = details.hint;
  }

  static isInstance(value: unknown): value is CacheSageError {
    return typeof value === "object" && value !== null && brand in value;
  }
}

/** An option that is missing, misspelt or out of range. */
export class InvalidOptionsError extends CacheSageError {
  constructor(owner: string, problem: string, details?: ErrorDetails) {
    super("INVALID_OPTIONS", `[${owner}] ${problem}`, details);
    this.name = "InvalidOptionsError";
  }
}

/** A policy, engine or command that does not exist. */
export class UnknownNameError extends CacheSageError {
  constructor(kind: string, got: string, known: readonly string[]) {
    super("UNKNOWN_NAME", `[${kind}] no ${kind} is called ${JSON.stringify(got)}`, {
      hint: [didYouMean(got, known), `Known: ${known.join(", ")}.`].filter(Boolean).join(" "),
    });
    this.name = "UnknownNameError";
  }
}

/** An optional peer that this feature needs is not installed. */
export class MissingDependencyError extends CacheSageError {
  /** @param version where the newest one may not do. */
  constructor(owner: string, dependency: string, cause?: unknown, version?: string) {
    super("MISSING_DEPENDENCY", `[${owner}] needs the package ${dependency}, which could not be loaded`, {
      hint: `Install it: npm install ${dependency}${version === undefined ? "" : `@${version}`}`,
      cause,
    });
    this.name = "MissingDependencyError";
  }
}

/** The serving engine is down, or answered something that an engine of this kind does not. */
export class EngineError extends CacheSageError {
  readonly engine: string;
  readonly status?: number;

  constructor(
    code: "ENGINE_UNREACHABLE" | "ENGINE_RESPONSE" | "ENGINE_UNSUPPORTED",
    engine: string,
    problem: string,
    details: ErrorDetails & { readonly status?: number } = {},
  ) {
    super(code, `[${engine}] ${problem}`, details);
    this.name = "EngineError";
    this.engine = engine;
    if (details.status !== undefined) this.status = details.status;
  }
}

/** A store of learned state is down, slow, or holds what cannot be read. */
export class StoreError extends CacheSageError {
  readonly store: string;

  constructor(store: string, problem: string, details?: ErrorDetails) {
    super("STORE", `[store ${store}] ${problem}`, details);
    this.name = "StoreError";
    this.store = store;
  }
}

/** A trace file that cannot be read, or a record in it that is not as its format has it. */
export class TraceError extends CacheSageError {
  readonly file: string;
  /** Counted from 1; 0 when the file as a whole is at fault. */
  readonly line: number;

  constructor(file: string, line: number, problem: string, details?: ErrorDetails) {
    super("TRACE", `[trace] ${file}${line > 0 ? `:${line}` : ""}: ${problem}`, details);
    this.name = "TraceError";
    this.file = file;
    this.line = line;
  }
}

/** A policy that you switched on stopped this call, or a human did whom it asked. The only error of ours that a graph sees. */
export class ActionDeniedError extends CacheSageError {
  readonly policy: string;
  /** What was stopped, e.g. `tool refund of agent billing`. */
  readonly what: string;
  readonly reason: string;

  constructor(policy: string, what: string, reason: string, cause?: unknown) {
    super("ACTION_DENIED", `[${policy}] ${what} was denied: ${reason}`, { cause });
    this.name = "ActionDeniedError";
    this.policy = policy;
    this.what = what;
    this.reason = reason;
  }

  static override isInstance(value: unknown): value is ActionDeniedError {
    return CacheSageError.isInstance(value) && value.code === "ACTION_DENIED";
  }
}

/** What an error says; anything may be thrown, even what has no text. */
export function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return "an error without a text";
  }
}

/** The same without what to do about it, which errors of ours say on a line of its own. */
export function problemOf(error: unknown): string {
  return messageOf(error).split("\n", 1).join("");
}

/** What is thrown, with code `INVALID_OPTIONS`, where a server cannot listen at the host and port that it was given. */
export function cannotListen(owner: string, cause: Error & { readonly code?: string }): CacheSageError {
  const isPort = cause.code === "EADDRINUSE" || cause.code === "EACCES";
  return new CacheSageError("INVALID_OPTIONS", `[${owner}] cannot listen, got ${String(cause)}`, {
    hint: isPort
      ? "Choose another port, or 0 for any free one."
      : "Give an address of this machine as host: 127.0.0.1, or 0.0.0.0 for all of them.",
    cause,
  });
}
