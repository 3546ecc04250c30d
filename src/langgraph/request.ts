import type { Identity, PromptShape, RequestEndEvent, Status, Usage } from "../runtime/event.ts";
import type { Host } from "./host.ts";
import { addOpen, type Open, type Run } from "./run.ts";
import type { Unfinished } from "./unfinished.ts";

/** One model call, from its start to its end. */
export class Request implements Open {
  readonly mayBeLost = true;
  readonly id: string;
  readonly identity: Identity;
  readonly prompt: PromptShape;
  /** The body that the host was told of, so that a client's retry is not told again. */
  told: string | undefined;
  /** The first body that was sent of it; another one is another call, as of a model that is given several prompts at once. */
  sent: string | undefined;
  readonly #host: Pick<Host, "clock" | "emit">;
  readonly #run: Run;
  readonly #onEnd: () => void;
  #hasToken = false;
  #ended = false;

  constructor(
    host: Pick<Host, "clock" | "emit">,
    call: {
      readonly id: string;
      readonly identity: Identity;
      readonly run: Run;
      readonly prompt: PromptShape;
    },
    onEnd: () => void = () => {},
  ) {
    const { id, identity, run, prompt } = call;
    this.id = id;
    this.identity = identity;
    this.prompt = prompt;
    this.#host = host;
    this.#run = run;
    this.#onEnd = onEnd;
    addOpen(run, this);
    if (!run.ended)
      host.emit({ type: "request-start", at: host.clock.now(), ...identity, request: id, prompt });
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Notes that a token arrived; only the first one counts. */
  token(): void {
    if (this.#hasToken || this.#ended) return;
    this.#hasToken = true;
    if (this.#run.ended) return;
    const at = this.#host.clock.now();
    this.#host.emit({ type: "request-first-token", at, ...this.identity, request: this.id });
  }

  /** Ends the call; later calls do nothing. `callsTools`: the answer asks for tools. */
  end(status: Status, usage?: Usage, callsTools?: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#run.open.delete(this);
    if (!this.#run.ended) {
      const at = this.#host.clock.now();
      const event: Unfinished<RequestEndEvent> = {
        type: "request-end",
        at,
        ...this.identity,
        request: this.id,
        status,
      };
      if (usage && Object.keys(usage).length > 0) event.usage = usage;
      if (callsTools !== undefined) event.callsTools = callsTools;
      this.#host.emit(event);
    }
    this.#onEnd();
  }
}
