import { randomUUID } from "node:crypto";
import { z } from "zod";
import { MissingDependencyError, StoreError } from "../errors.ts";
import { parseOptions } from "../options.ts";
import { namespaceOptions } from "../runtime/namespace.ts";
import type { Batch, Namespace, Store, StoredCounts } from "../runtime/store.ts";
import { MOST_COUNTS } from "../runtime/totals.ts";

const options = namespaceOptions.extend({
  prefix: z.string().max(80).default("cachesage:").describe("How every key begins."),
  timeoutMs: z.int().positive().default(2000).describe("Milliseconds to wait for an answer."),
});

/** Options of `RedisStore.fromUrl`. */
export type RedisStoreOptions = z.input<typeof options>;

/** What is used of the package `redis`. */
interface Client {
  readonly isReady: boolean;
  readonly isOpen: boolean;
  on(event: "error", listener: (error: unknown) => void): unknown;
  connect(): Promise<unknown>;
  sendCommand(words: readonly string[]): Promise<unknown>;
  unref(): void;
  destroy(): void;
}

/** Milliseconds for which a writer's last batch is remembered after it was sent. */
const WRITER_MS = 24 * 60 * 60 * 1000;

/** counts, meta, writer; sequence, milliseconds, new epoch, most counts, then names and counts. */
const ADD = `
local resets = redis.call('HGET', KEYS[2], 'resets') or '0'
local before, arrived = string.match(redis.call('GET', KEYS[3]) or '', '^(%d+):(%d+)$')
if before == resets and tonumber(arrived) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[3], resets .. ':' .. ARGV[1], 'PX', ARGV[2])
redis.call('HSETNX', KEYS[2], 'epoch', ARGV[3])
redis.call('HINCRBY', KEYS[2], 'changes', 1)
for i = 5, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1]) end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[4]) then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local count = tonumber(all[i + 1])
    if count < 2 then redis.call('HDEL', KEYS[1], all[i])
    else redis.call('HSET', KEYS[1], all[i], string.format('%.17g', count / 2)) end
  end
  redis.call('HSET', KEYS[2], 'epoch', ARGV[3])
end
return 1`;

/** counts, meta; the version that is known. */
const LOAD = `
local epoch = redis.call('HGET', KEYS[2], 'epoch') or ''
local version = epoch .. ':' .. (redis.call('HGET', KEYS[2], 'changes') or '0')
if version == ARGV[1] then return {} end
return { version, epoch, redis.call('HGETALL', KEYS[1]) }`;

/** counts, meta, texts; new epoch. */
const RESET = `
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('HSET', KEYS[2], 'epoch', ARGV[1])
redis.call('HINCRBY', KEYS[2], 'changes', 1)
redis.call('HINCRBY', KEYS[2], 'resets', 1)
return 1`;

const loaded = z.union([z.tuple([]), z.tuple([z.string(), z.string(), z.array(z.string())])]);

/**
 * Keeps learned state in Redis, where the counts of any number of processes add up: they learn as one.
 *
 * It connects when it is first asked, and again when it is asked after the connection was lost. All keys of a namespace are in
 * one hash slot of a cluster.
 */
export class RedisStore implements Store {
  readonly name = "redis";
  readonly namespace: Namespace;
  readonly #connect: () => Client;
  readonly #prefix: string;
  readonly #timeoutMs: number;
  #client: Client | undefined;
  #connecting: Promise<Client> | undefined;
  #isClosed = false;

  private constructor(connect: () => Client, settings: z.output<typeof options>) {
    const { tenant, workload, prefix, timeoutMs } = settings;
    this.namespace = { tenant, workload };
    this.#connect = connect;
    this.#prefix = `${prefix}{${tenant}/${workload}}:`;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * A store on a Redis server, version 6 or newer. A server that is down now is no error.
   *
   * @param url such as `redis://user:password@host:6379/0`; `rediss://` for TLS.
   * @throws InvalidOptionsError, MissingDependencyError.
   */
  static async fromUrl(url: string, given: RedisStoreOptions = {}): Promise<RedisStore> {
    const settings = parseOptions("store redis", options.extend({ url: z.url({ protocol: /^rediss?$/ }) }), {
      ...given,
      url,
    });
    const { createClient } = await import("redis").catch((cause: unknown) => {
      throw new MissingDependencyError("store redis", "redis", cause);
    });
    const { timeoutMs: connectTimeout } = settings;
    const socket = { connectTimeout, reconnectStrategy: false } as const;
    return new RedisStore(() => createClient({ url, socket, disableOfflineQueue: true }), settings);
  }

  async add({ writer, sequence, counts }: Batch): Promise<void> {
    const words = [...counts].flatMap(([name, count]) => [name, String(count)]);
    const rest = [String(sequence), String(WRITER_MS), randomUUID(), String(MOST_COUNTS), ...words];
    await this.#run(ADD, ["counts", "meta", `writer:${writer}`], rest);
  }

  async load(known = ""): Promise<StoredCounts | undefined> {
    const answer = loaded.parse(await this.#run(LOAD, ["counts", "meta"], [known]));
    if (answer.length === 0) return undefined;
    const [version, epoch, words] = answer;
    const counts = new Map<string, number>();
    for (let i = 0; i < words.length; i += 2) counts.set(words[i] ?? "", Number(words[i + 1]));
    return { version, epoch, counts };
  }

  async reset(): Promise<void> {
    await this.#run(RESET, ["counts", "meta", "texts"], [randomUUID()]);
  }

  async put(name: string, text: string): Promise<void> {
    await this.#send(["HSET", `${this.#prefix}texts`, name, text]);
  }

  async get(name: string): Promise<string | undefined> {
    return (
      z
        .string()
        .nullable()
        .parse(await this.#send(["HGET", `${this.#prefix}texts`, name])) ?? undefined
    );
  }

  async lease(id: string, milliseconds: number): Promise<boolean> {
    const words = ["SET", `${this.#prefix}lease:${id}`, "1", "NX", "PX", String(milliseconds)];
    return (await this.#send(words)) !== null;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#connecting?.catch(() => {});
    this.#drop();
  }

  #run(script: string, keys: readonly string[], rest: readonly string[]): Promise<unknown> {
    const names = keys.map((key) => this.#prefix + key);
    return this.#send(["EVAL", script, String(names.length), ...names, ...rest]);
  }

  async #send(words: readonly string[]): Promise<unknown> {
    try {
      return await this.#inTime(this.#ready().then((client) => client.sendCommand(words)));
    } catch (cause) {
      const { message } = cause instanceof Error ? cause : new Error(String(cause));
      throw new StoreError("redis", message || "the server cannot be reached", {
        hint: "Is the server up, and the url right? Until then counts wait in this process.",
        cause,
      });
    }
  }

  #ready(): Promise<Client> {
    if (this.#isClosed) return Promise.reject(new Error("the store is closed"));
    if (this.#client?.isReady) return Promise.resolve(this.#client);
    return (this.#connecting ??= this.#reconnect().finally(() => (this.#connecting = undefined)));
  }

  async #reconnect(): Promise<Client> {
    this.#drop();
    const client = (this.#client = this.#connect());
    // Whoever waits for an answer is told as well.
    client.on("error", () => {});
    await client.connect();
    client.unref();
    return client;
  }

  #drop(): void {
    if (this.#client?.isOpen) this.#client.destroy();
    this.#client = undefined;
  }

  /** A server that does not answer is taken for down, and connected to anew. */
  async #inTime<T>(answer: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#drop();
        reject(new Error(`no answer within ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
