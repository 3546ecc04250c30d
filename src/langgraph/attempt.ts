import { type Begun, readFirstToken } from "./first-token.ts";

/** How an attempt came out. */
export interface AttemptResult {
  readonly attempt: Attempt;
  /** It is an answer, and its first token is there; false: it failed, or the server answered with an error. */
  readonly isAnswer: boolean;
}

/** One of the times that a call is made: read up to its first token, and then taken or aborted. */
export class Attempt {
  /** Never rejects. */
  readonly result: Promise<AttemptResult>;
  readonly #controller = new AbortController();
  readonly #release: () => void;
  #response: Response | undefined;
  #begun: Begun | undefined;
  #error: unknown;

  /** @param signal the caller's; aborts it as well, until it ends. */
  constructor(send: (signal: AbortSignal) => Promise<Response>, signal: AbortSignal | undefined) {
    const abort = (): void => this.#controller.abort(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted) abort();
    this.#release = () => signal?.removeEventListener("abort", abort);
    this.result = this.#begin(send);
  }

  /** The answer, from its first byte on. Throws what the attempt failed with. */
  take(): Response {
    const response = this.#response;
    const body = response?.body;
    if (response && body) return this.#replay(response, body);
    this.#release();
    if (response) return response;
    throw this.#error;
  }

  abort(): void {
    this.#release();
    this.#controller.abort();
    // A client's own fetch may not heed the signal.
    void this.result.then(() => (this.#begun?.rest ?? this.#response?.body)?.cancel()).catch(() => {});
  }

  async #begin(send: (signal: AbortSignal) => Promise<Response>): Promise<AttemptResult> {
    try {
      const response = await send(this.#controller.signal);
      const isStream = response.headers.get("content-type")?.includes("text/event-stream") === true;
      if (response.ok && response.body && isStream) this.#begun = await readFirstToken(response.body);
      this.#response = response;
      return { attempt: this, isAnswer: response.ok };
    } catch (error) {
      this.#error = error;
      return { attempt: this, isAnswer: false };
    }
  }

  /** The same response; its body is read on when the consumer reads it and never before. */
  #replay({ status, statusText, headers, url }: Response, body: ReadableStream<Uint8Array>): Response {
    const chunks = [...(this.#begun?.chunks ?? [])];
    const rest = this.#begun ? this.#begun.rest : body.getReader();
    const release = this.#release;
    const replayed = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          try {
            const chunk = chunks.shift() ?? (await rest?.read())?.value;
            if (chunk) return controller.enqueue(chunk);
            release();
            controller.close();
          } catch (error) {
            release();
            controller.error(error);
          }
        },
        cancel(reason) {
          release();
          return rest?.cancel(reason);
        },
      },
      { highWaterMark: 0 },
    );
    return Object.defineProperty(new Response(replayed, { status, statusText, headers }), "url", {
      value: url,
    });
  }
}
