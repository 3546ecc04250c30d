import { AsyncLocalStorage } from "node:async_hooks";
import { InvalidOptionsError } from "../errors.ts";
import type { Host } from "./host.ts";

/** Takes the one request of an introduction, which is not sent. */
interface Introduction {
  body: string | undefined;
}

const CODE = "cachesage_introduction";

/**
 * Model calls that are made to be looked at: what an agent's prompts begin with, exactly as its client writes it. The request
 * is answered here, and nothing of the call is observed.
 */
export class Introductions {
  readonly #open = new AsyncLocalStorage<Introduction>();

  /** The same host, but deaf to what happens in introductions. */
  deaf(host: Host): Host {
    const { emit, prompt, output } = host;
    const unlessOpen =
      <Given extends readonly unknown[]>(tell: (...given: Given) => void) =>
      (...given: Given): void => {
        if (!this.isOpen) tell(...given);
      };
    return {
      ...host,
      emit: unlessOpen(emit),
      ...(prompt && { prompt: unlessOpen(prompt) }),
      ...(output && { output: unlessOpen(output) }),
    };
  }

  /** Whether what goes on is part of an introduction. */
  get isOpen(): boolean {
    return this.#open.getStore() !== undefined;
  }

  /** The answer to a request of an introduction; undefined: it is none. HTTP 403 is final to all clients. */
  answer(body: string): Response | undefined {
    const introduction = this.#open.getStore();
    if (!introduction) return undefined;
    introduction.body ??= body;
    const error = { message: "looked at, not sent", type: CODE, code: CODE };
    return new Response(JSON.stringify({ error }), {
      status: 403,
      headers: { "content-type": "application/json" },
    });
  }

  /**
   * Makes the call and returns the body of its request.
   *
   * @throws InvalidOptionsError when it sent none to the engine; what made the call fail is the cause.
   */
  async bodyOf(agent: string, call: () => unknown): Promise<string> {
    const introduction: Introduction = { body: undefined };
    let cause: unknown;
    try {
      await this.#open.run(introduction, async () => call());
    } catch (error) {
      cause = error;
    }
    if (introduction.body !== undefined) return introduction.body;
    throw new InvalidOptionsError(
      "introduce",
      `no model call went to the engine, got ${String(cause ?? "none")}`,
      {
        hint: `Give a function that makes one as ${agent} does, with a model that has sage.model() or sage.fetch: () => model.bindTools(tools).invoke([systemMessage]).`,
        cause,
      },
    );
  }
}
