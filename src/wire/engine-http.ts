import { EngineError } from "../errors.ts";
import { combineSignals } from "./combined-signal.ts";

export interface EngineHttpOptions {
  /** Engine's name, for errors. */
  readonly engine: string;
  /** Base URL, with or without `/v1`. */
  readonly url: string;
  readonly apiKey?: string | undefined;
  /** Headers of every request, the key left aside. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Header that carries the key; default `authorization`, as a bearer. */
  readonly keyHeader?: string;
  /** How to start the engine, for when nothing answers; default: that it has to be started. */
  readonly start?: string;
}

export interface EngineRequest {
  readonly signal?: AbortSignal | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: POST when there is a body, else GET. */
  readonly method?: string;
  readonly body?: unknown;
  /** Milliseconds after which it is given up; default: when the signal says so. */
  readonly withinMs?: number;
}

const START = "Start the engine, or check host and port.";
/** Milliseconds that a server has to say what it is, or how it is. */
export const CONNECT_TIMEOUT_MS = 5000;
/** Characters of a server's own complaint that an error repeats. */
const COMPLAINT_LENGTH = 300;

/** Asks an engine's HTTP side channel. Every failure is an EngineError that says what is wrong in one sentence. */
export class EngineHttp {
  /** Without `/v1` and without a slash at the end. */
  readonly root: string;
  readonly #options: EngineHttpOptions;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(options: EngineHttpOptions) {
    this.#options = options;
    this.root = options.url.replace(/\/+$/, "").replace(/\/v1$/, "");
    const { apiKey, keyHeader } = options;
    this.#headers = {
      ...options.headers,
      ...(apiKey !== undefined &&
        (keyHeader === undefined ? { authorization: `Bearer ${apiKey}` } : { [keyHeader]: apiKey })),
    };
  }

  /** Base URL for OpenAI-compatible clients. */
  get baseURL(): string {
    return `${this.root}/v1`;
  }

  /** Sends a request below the root and reads JSON. Throws EngineError, or the reason of the abort. */
  async json(path: string, request: EngineRequest = {}): Promise<unknown> {
    const { response, text } = await this.#send(path, request);
    try {
      return JSON.parse(text);
    } catch (cause) {
      const isEmpty = text === "";
      const got = isEmpty ? "nothing" : (response.headers.get("content-type") ?? "no content type");
      throw this.#error("ENGINE_RESPONSE", `${this.root}${path} answered no JSON, got ${got}`, {
        hint: isEmpty
          ? "Another engine may run there, such as vLLM: name the one that does."
          : "Something else listens there, such as a web page or a proxy: check the url.",
        status: response.status,
        cause,
      });
    }
  }

  /** The same for a page of text. */
  async text(path: string, request: EngineRequest = {}): Promise<string> {
    return (await this.#send(path, request)).text;
  }

  /** Reads JSON within the time that a server has to say what it is. */
  probe(path: string, signal?: AbortSignal): Promise<unknown> {
    return this.json(path, { signal, withinMs: CONNECT_TIMEOUT_MS });
  }

  async #send(path: string, request: EngineRequest): Promise<{ response: Response; text: string }> {
    const { signal, body, withinMs, method = body === undefined ? "GET" : "POST" } = request;
    const url = `${this.root}${path}`;
    const headers = {
      ...this.#headers,
      ...request.headers,
      ...(body !== undefined && { "content-type": "application/json" }),
    };
    const timeout = withinMs === undefined ? undefined : AbortSignal.timeout(withinMs);
    const combined = combineSignals(signal, timeout);
    let response: Response | undefined;
    try {
      response = await fetch(url, {
        method,
        headers,
        signal: combined.signal,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok) throw this.#refusal(url, response, text);
      return { response, text };
    } catch (error) {
      if (error instanceof EngineError) throw error;
      signal?.throwIfAborted();
      if (timeout?.aborted)
        throw this.#error("ENGINE_UNREACHABLE", `${url} gave no answer within ${withinMs} ms`, {
          hint: "Is something else listening there, or is the server busy, or still loading its model?",
          cause: error,
        });
      const [problem, hint = this.#options.start ?? START] = connectionProblem(url, error, response);
      throw this.#error("ENGINE_UNREACHABLE", problem, { hint, cause: error });
    } finally {
      combined.release();
    }
  }

  #refusal(url: string, response: Response, text: string): EngineError {
    const { status } = response;
    const isPage = /^\s*</.test(text);
    const complaint = isPage ? "an HTML page" : complaintOf(text);
    const got = `got status ${status}${complaint === "" ? "" : `: ${complaint}`}`;
    const hint =
      status === 401 || status === 403
        ? "Pass the key that the server, or the proxy before it, asks for: apiKey, in cachesage doctor --api-key."
        : status === 404
          ? "Check the url and the engine's name, and that of the model where one was asked for: the url is that of the engine itself, such as " +
            "http://127.0.0.1:8000/v1."
          : status === 429 || status === 503
            ? "It has too much to do, or is not ready: try again later, or see its log."
            : "See the server's log for why.";
    return this.#error("ENGINE_RESPONSE", `${url} refused, ${got}`, { hint, status });
  }

  #error(
    code: "ENGINE_UNREACHABLE" | "ENGINE_RESPONSE",
    problem: string,
    details: { readonly hint?: string; readonly status?: number; readonly cause?: unknown },
  ): EngineError {
    return new EngineError(code, this.#options.engine, problem, details);
  }
}

/**
 * What went wrong with a request, and what to do about it; without a hint the engine has to be started.
 *
 * @param response its beginning, where it came.
 */
function connectionProblem(
  url: string,
  error: unknown,
  response: Response | undefined,
): readonly [problem: string, hint?: string] {
  const code = codeOf(error);
  const { host, hostname, protocol, username } = new URL(url);
  if (!/^https?:$/.test(protocol))
    return [
      `${url} is no address of a server`,
      "Write it whole, from http:// on, such as http://127.0.0.1:8000/v1.",
    ];
  if (username !== "")
    return [
      `the url of ${host} has a user's name in it, which no request can be sent with`,
      "Take it out; a key is passed as apiKey, in cachesage doctor --api-key.",
    ];
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return [`no host is called ${hostname}, got ${code}`, "Check the url."];
  if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_TLS/.test(code))
    return [
      `the TLS certificate of ${host} is not trusted, got ${code}`,
      "Give Node the certificate's authority: NODE_EXTRA_CA_CERTS=ca.pem.",
    ];
  if (/SSL|EPROTO/.test(code))
    return [`${host} speaks no TLS, got ${code}`, "Write http:// where the server has no certificate."];
  if (code === "UND_ERR_SOCKET" || code === "ECONNRESET" || code.startsWith("HPE_"))
    return [
      `${host} broke the connection off, got ${code}`,
      protocol === "http:" && !response
        ? "Is it a TLS server? Then write https://. Else see the server's log."
        : "See the server's log.",
    ];
  if (/redirect/.test(code))
    return [
      `${url} sends its visitors round in circles, got ${code}`,
      "Check the url, and the proxy before it.",
    ];
  if (/^(E[A-Z]+|UND_ERR_\w+)$/.test(code)) return [`nothing answers at ${url}, got ${code}`];
  return [
    `${url} cannot be asked${code === "" ? "" : `, got ${code}`}`,
    "Check the url, its port, and what is between here and the engine, such as a proxy.",
  ];
}

/** The innermost code, else the innermost message: the outer ones only say that fetch failed. */
function codeOf(error: unknown): string {
  let found = String(error);
  let at: unknown = error;
  while (typeof at === "object" && at !== null) {
    const { code, message, cause } = at as { code?: unknown; message?: unknown; cause?: unknown };
    if (typeof code === "string") return code;
    if (typeof message === "string") found = message;
    at = cause;
  }
  return found;
}

/** The sentence inside an OpenAI-like error, else the beginning of the text. */
function complaintOf(text: string): string {
  let message: unknown = text;
  try {
    const body = JSON.parse(text) as { error?: unknown; message?: unknown; detail?: unknown } | null;
    const error = body?.error;
    const inner =
      typeof error === "object" && error !== null ? (error as { message?: unknown }).message : error;
    message = inner ?? body?.message ?? body?.detail ?? text;
  } catch {
    // Then it is text.
  }
  const words = typeof message === "string" ? message : JSON.stringify(message);
  return words.replaceAll(/\s+/g, " ").trim().slice(0, COMPLAINT_LENGTH);
}
