import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { freePort } from "../free-port.ts";

/** Whether `redis-server` can be run here; says why tests are skipped where it cannot. */
export const hasRedis = spawnSync("redis-server", ["--version"]).status === 0;
if (!hasRedis)
  console.warn(
    "Skipped: tests on Redis, since redis-server is not installed (apt-get install redis-server).",
  );

/** A Redis server of its own, which keeps nothing on disk. */
export class RedisServer {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(url: string, process: ChildProcess) {
    this.url = url;
    this.#process = process;
  }

  /** @param port a free one by default. */
  static async start(port?: number): Promise<RedisServer> {
    const chosen = port ?? (await freePort());
    const words = ["--port", String(chosen), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    const server = spawn("redis-server", words, { stdio: ["ignore", "pipe", "inherit"] });
    let isReady = false;
    for await (const line of createInterface(server.stdout))
      if ((isReady = line.includes("Ready to accept"))) break;
    if (!isReady) throw new Error(`redis-server ended before it was ready at port ${chosen}`);
    server.stdout.resume();
    return new RedisServer(`redis://127.0.0.1:${chosen}`, server);
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Stops answering, as a server under too much load does. */
  freeze(): void {
    this.#process.kill("SIGSTOP");
  }

  thaw(): void {
    this.#process.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exited;
  }
}
