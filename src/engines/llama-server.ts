import PQueue from "p-queue";
import { z } from "zod";
import { EngineError } from "../errors.ts";
import {
  type Hint,
  type HintType,
  type Outcome,
  type PrefetchHint,
  type PrefixRef,
  prefixId,
  promptOf,
} from "../runtime/action.ts";
import type { EngineAdapter, EngineDefinition, EngineInfo, Support } from "../runtime/engine.ts";
import type { Event } from "../runtime/event.ts";
import { CONNECT_TIMEOUT_MS, EngineHttp } from "../wire/engine-http.ts";
import { Foreground } from "../wire/foreground.ts";
import { createHttpAdapter } from "../wire/http-adapter.ts";
import { offeredModels } from "../wire/offered-models.ts";
import { load, metricStatus } from "../wire/metric-status.ts";
import { PrefetchSteps } from "../wire/prefetch-steps.ts";
import { SavedSlots } from "../wire/saved-slots.ts";
import { ServedTotals } from "../wire/served-totals.ts";
import { type HeldSlot, SlotTable } from "../wire/slot-table.ts";
import { UnderWay } from "../wire/under-way.ts";
import { WarmUpTotals } from "../wire/warm-up-totals.ts";

const options = z.strictObject({
  url: z.url().default("http://127.0.0.1:8080").describe("Base URL of the server"),
  apiKey: z.string().min(1).optional().describe("Key, when the server was started with --api-key"),
  stepTokens: z
    .int()
    .min(64)
    .default(512)
    .describe("Most tokens of one prefetch request; between two of them the app's own requests go first"),
  savedPrefixes: z
    .int()
    .min(0)
    .max(1000)
    .default(8)
    .describe(
      "Slots kept as files while another prefix is prefetched into them; needs --slot-save-path, and 0 for all but one of the apps on a server",
    ),
});

type Options = z.output<typeof options>;

const props = z.object({ total_slots: z.int().positive(), build_info: z.string().optional() });
const router = z.object({ role: z.literal("router") });
const template = z.object({ prompt: z.string() });
const tokenized = z.object({ tokens: z.array(z.int()) });
const completion = z.object({
  timings: z.object({ prompt_n: z.number(), cache_n: z.number().default(0), prompt_ms: z.number() }),
});

/** A request of the app's. */
interface OwnRequest {
  /** Which of its agent's prompts it goes on with is known when it is sent. */
  prefix: PrefixRef;
  readonly anchorShare: number;
}

/** One request of a prefetch is given up after that many milliseconds, and not before. */
const STEP_TIMEOUT_MS = 20_000;
const cachedTokens = "llamacpp:prompt_tokens_cached_total";
const totalNames = {
  requests: [],
  promptTokens: ["llamacpp:prompt_tokens_total", cachedTokens],
  cachedTokens: [cachedTokens],
};

/** Neither side keeps the connection, so that nothing is sent on one which the server is about to close. */
const OWN_CONNECTION = { connection: "close" };
const TOO_BUSY: Outcome = { status: "ignored", reason: "the server is too busy for it to pay" };
/** Shorter prefixes are computed faster than they are written and read. */
const WORTH_SAVING = 256;

/**
 * llama.cpp's llama-server (seen: Debian's 0.7.0). It keeps one sequence a slot and has no word for a prefix's worth, so
 * this adapter owns the slots: every request names one (`id_slot`), its own or the one of least value. What a server does
 * by itself that matters here:
 *
 * - `id_slot` beyond the last slot wraps around to another one; only known slots are ever named.
 * - A named slot that is busy makes the request wait although others are free; none is named then, nor while a request is
 *   under way that named none: with more runs open than slots and no idle time this is the server's own LRU, and no prefetch.
 * - Closing a connection does not reliably stop a prompt, so a prefetch grows in steps and a step is never aborted. It goes on
 *   while no call of the app is under way, and takes no step that costs the calls to come more than it saves.
 * - After a streamed answer it says `Keep-Alive` and closes the connection all the same, so that whatever is sent on it in
 *   the milliseconds between fails; and each idle connection holds one of few HTTP threads (`--threads-http`) for five
 *   seconds. So every request here gets a connection of its own.
 * - `n_predict: 0` still predicts one token.
 * - Save, restore and erase answer 501 without `--slot-save-path`, so evict is there only with it.
 * - `--cache-ram` (8 GiB by default) is a cache of its own before the slots, and `--kv-unified` empties idle slots by
 *   itself: start it with `--no-kv-unified --parallel N --slot-save-path DIR`.
 * - Requests that do not come through cachesage may take any slot: `pin` holds against its own requests only. Two apps that save
 *   slots of one server overwrite each other's files; the server sees that and computes the prompt again.
 * - Without a model it is a router, which starts a server for each model and tells nothing of their slots.
 */
class LlamaServer {
  readonly #http: EngineHttp;
  readonly #options: Options;
  readonly #warmUps = new WarmUpTotals();
  readonly #queue = new PQueue({ concurrency: 1 });
  /** One thread pool computes prompts and answers in turns, so that whatever is computed ahead delays both. */
  readonly #foreground = new Foreground({ isAnswerWork: true });
  readonly #steps: PrefetchSteps;
  readonly #requests = new UnderWay<OwnRequest>();
  #table = new SlotTable(0);
  #saved: SavedSlots | undefined;

  constructor(chosen: Options) {
    this.#options = chosen;
    this.#steps = new PrefetchSteps(chosen.stepTokens, () => performance.now());
    this.#http = new EngineHttp({
      engine: "llama-server",
      url: chosen.url,
      apiKey: chosen.apiKey,
      headers: OWN_CONNECTION,
    });
  }

  adapter(): EngineAdapter {
    const served = new ServedTotals(totalNames, this.#warmUps);
    return createHttpAdapter({
      name: "llama-server",
      http: this.#http,
      apiKey: this.#options.apiKey ?? "none",
      prefetchesAtOnce: 1,
      probe: (signal) => this.#probe(signal),
      served,
      status: metricStatus(this.#http, served, (sums) =>
        load(sums, { running: "llamacpp:requests_processing", waiting: "llamacpp:requests_deferred" }),
      ),
      supports: () => this.#supports(),
      decorate: ({ identity: { agent, run }, branch = 0, request }) => {
        const prefix = promptOf(agent, run, branch);
        this.#goesOnWith(prefix, request);
        const slot = this.#table.claim(prefix, performance.now());
        return {
          fields: { ...(slot !== undefined && { id_slot: slot }), cache_prompt: true },
          headers: OWN_CONNECTION,
        };
      },
      observe: (event) => this.#observe(event),
      tokenize: (body, signal) => this.#tokenize(body, signal),
      verbs: {
        retain: (hint) => {
          if (hint.type === "retain") this.#table.retain(hint.prefix, hint.value);
          return { status: "applied" };
        },
        release: ({ prefix }) => {
          this.#saved?.forget(prefix);
          const hadSlot = this.#table.release(prefix);
          return hadSlot ? { status: "applied" } : { status: "ignored", reason: "it has no slot" };
        },
        pin: (hint) => this.#pin(hint),
        evict: (hint, signal) => this.#evict(hint.prefix, signal),
        prefetch: (hint, signal) =>
          hint.type === "prefetch"
            ? this.#queue.add(() => this.#prefetch(hint, signal), {
                priority: Math.round(hint.probability * 1000),
                ...(signal && { signal }),
              })
            : { status: "failed" },
      },
    });
  }

  #supports(): Readonly<Partial<Record<HintType, Support>>> {
    return {
      retain: "emulated",
      release: "emulated",
      prefetch: "emulated",
      pin: "emulated",
      cancel: "emulated",
      ...(this.#saved && ({ evict: "native" } as const)),
    };
  }

  async #probe(signal: AbortSignal | undefined): Promise<EngineInfo> {
    const answer = await this.#http.probe("/props", signal);
    if (router.safeParse(answer).success)
      throw new EngineError(
        "ENGINE_UNSUPPORTED",
        "llama-server",
        `${this.#http.root} is a llama-server without a model, which starts others`,
        { hint: "It tells nothing of their slots: connect to one that was started with its model (-m)." },
      );
    const said = props.safeParse(answer);
    if (!said.success)
      throw new EngineError("ENGINE_UNSUPPORTED", "llama-server", `${this.#http.root} is not llama-server`, {
        hint: "Its /props tells total_slots. Name the engine that runs there.",
      });
    const models = await offeredModels(this.#http, signal);
    this.#table = new SlotTable(said.data.total_slots);
    if (await this.#canSave(signal)) this.#saved = new SavedSlots(this.#http, this.#options.savedPrefixes);
    return {
      engine: "llama-server",
      models,
      ...(said.data.build_info !== undefined && { version: said.data.build_info }),
    };
  }

  /** A file name that no server takes: refused as such where slots can be saved, with 501 where they cannot. */
  async #canSave(signal: AbortSignal | undefined): Promise<boolean> {
    const request = { body: { filename: "../no" }, signal, withinMs: CONNECT_TIMEOUT_MS };
    return this.#http.json("/slots/0?action=save", request).then(
      () => true,
      (error: unknown) => error instanceof EngineError && error.status === 400,
    );
  }

  #observe(event: Event): void {
    this.#foreground.observe(event);
    this.#steps.observe(event);
    if (event.type === "request-start") {
      const { agent, run } = event;
      const { anchor, history } = event.prompt;
      const length = history.reduce((sum, part) => sum + part.length, anchor.length);
      const anchorShare = length === 0 ? 0 : anchor.length / length;
      const prefix = promptOf(agent, run, 0);
      const lost = this.#requests.begin(event.request, event.at, { prefix, anchorShare });
      for (const own of lost) this.#table.end(own.prefix, undefined, 0);
      this.#table.begin(prefix);
    } else if (event.type === "request-end") {
      const own = this.#requests.end(event.request);
      if (own) this.#table.end(own.prefix, event.usage?.promptTokens, own.anchorShare);
    }
  }

  /** A request is of this prefix, and not of the first one of its agent in the run. */
  #goesOnWith(prefix: PrefixRef, request: string | undefined): void {
    const own = request === undefined ? undefined : this.#requests.get(request);
    if (!own || prefixId(own.prefix) === prefixId(prefix)) return;
    this.#table.end(own.prefix, undefined, 0);
    own.prefix = prefix;
    this.#table.begin(prefix);
  }

  #pin(hint: Hint): Outcome {
    const now = performance.now();
    const ttlMs = hint.type === "pin" ? hint.ttlMs : undefined;
    const isPinned = this.#table.pin(hint.prefix, now, now + (ttlMs ?? Number.POSITIVE_INFINITY));
    if (isPinned) return { status: "applied" };
    return { status: "rejected", reason: "it has no slot, or no other slot would be left" };
  }

  async #evict(prefix: PrefixRef, signal: AbortSignal | undefined): Promise<Outcome> {
    const slot = this.#table.slotOf(prefix);
    if (!slot) return { status: "ignored", reason: "it has no slot" };
    const answer = await this.#http.json(`/slots/${slot.index}?action=erase`, { method: "POST", signal });
    const { n_erased: tokens } = z.object({ n_erased: z.number() }).parse(answer);
    this.#table.vacate(slot.index);
    return { status: "applied", tokens };
  }

  async #prefetch(hint: PrefetchHint, signal: AbortSignal | undefined): Promise<Outcome> {
    const { prefix, probability } = hint;
    await this.#foreground.quiet(signal);
    if (signal?.aborted) return { status: "cancelled", reason: "withdrawn" };
    if (this.#steps.next(probability) === 0) return TOO_BUSY;
    const tokens = await this.#tokenize(hint.body, AbortSignal.timeout(STEP_TIMEOUT_MS));
    let slot: number | undefined;
    let done = 0;
    let computed = 0;
    do {
      await this.#foreground.quiet(signal);
      if (signal?.aborted) return { status: "cancelled", reason: "withdrawn", tokens: computed };
      const step = this.#steps.next(probability);
      const isOurs = slot === undefined || this.#table.slotOf(prefix)?.index === slot;
      if (this.#table.isUnderWay(prefix) || this.#table.isOverrun || step === 0 || !isOurs) break;
      const held = this.#table.hold(prefix, performance.now(), hint.value * tokens.length);
      if (!held) return { status: "ignored", reason: "every slot is busy or holds what is worth more" };
      try {
        // A prompt shorter than what the slot holds would cut that off.
        if (slot === undefined) done = await this.#makeRoom(prefix, held);
        slot = held.index;
        const end = Math.min(tokens.length, done + step);
        computed += await this.#fill(slot, tokens.slice(0, end));
        done = end;
      } finally {
        // Between two steps the slot is anybody's.
        this.#table.filled(held.index, done);
      }
    } while (done < tokens.length);
    return slot === undefined ? TOO_BUSY : { status: "applied", tokens: computed };
  }

  /** Tokens of the prefix that the slot holds then. */
  async #makeRoom(prefix: PrefixRef, { index, displaced, lost, kept }: HeldSlot): Promise<number> {
    if (displaced?.run !== undefined && lost >= WORTH_SAVING) await this.#saved?.save(displaced, index);
    return Math.max(kept, (await this.#saved?.restore(prefix, index)) ?? 0);
  }

  /** Prompt tokens that the server computed. */
  async #fill(slot: number, prompt: readonly number[]): Promise<number> {
    const body = { prompt, id_slot: slot, cache_prompt: true, n_predict: 0 };
    const started = performance.now();
    const { timings } = completion.parse(
      await this.#http.json("/completion", { body, signal: AbortSignal.timeout(STEP_TIMEOUT_MS) }),
    );
    const { prompt_n: tokens, prompt_ms: promptMs, cache_n: cached } = timings;
    this.#steps.computed(tokens, promptMs, performance.now() - started);
    this.#warmUps.add(tokens + cached, cached);
    return tokens;
  }

  async #tokenize(body: unknown, signal: AbortSignal | undefined): Promise<readonly number[]> {
    const asked = { ...(body as object), add_generation_prompt: false };
    const { prompt } = template.parse(await this.#http.json("/apply-template", { body: asked, signal }));
    const text = { content: prompt, add_special: true, parse_special: true };
    return tokenized.parse(await this.#http.json("/tokenize", { body: text, signal })).tokens;
  }
}

export default {
  name: "llama-server",
  description:
    "llama.cpp's llama-server: a slot for each prefix, prefetch by growing prompts, slots saved as files",
  seen: "Debian's llama.cpp-tools 0.7.0",
  remedies: {
    "cached tokens": "--cache-prompt",
    metrics: "--metrics",
    evict: "--slot-save-path DIR",
    pin: "--parallel N --no-kv-unified",
  },
  options,
  create: (chosen): EngineAdapter => new LlamaServer(chosen).adapter(),
} satisfies EngineDefinition<typeof options>;
