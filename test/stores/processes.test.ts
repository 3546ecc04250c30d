import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import type { Store } from "../../src/runtime/store.ts";
import { FileStore } from "../../src/stores/file.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import { builtPackage, run } from "../record/build.ts";
import { hasRedis, RedisServer } from "./redis-server.ts";

const PROCESSES = 4;
const RUNS = 10_000;
const CALLS = 10;
const built = builtPackage();

/** What a person with much patience would count. */
function transitions(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (let number = 0; number < RUNS; number++) {
    const agents = Array.from({ length: CALLS }, (_, step) => (number * 7 + step * (1 + (number % 3))) % 6);
    const path = ["__start__", ...agents.map((agent) => `agent ${agent}`), "__end__"];
    for (const [i, to] of path.slice(1).entries()) {
      const name = JSON.stringify(["transitions", path[i], to]);
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  return counts;
}

/** Four processes at once play a part of the runs each. */
async function play(kind: string, place: string, half: 0 | 1): Promise<readonly { batches: number }[]> {
  const app = fileURLToPath(new URL("apps/play-runs.mjs", import.meta.url));
  const share = RUNS / PROCESSES / 2;
  return Promise.all(
    Array.from({ length: PROCESSES }, async (_, process) => {
      const first = (process * 2 + half) * share;
      const words = [pathToFileURL(built.file("dist/")).href, kind, place, first, first + share, CALLS];
      const { code, stdout, stderr } = await run([app, ...words.map(String)]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      return JSON.parse(stdout) as { batches: number };
    }),
  );
}

async function counted(store: Store): Promise<Readonly<Record<string, number>>> {
  const counts = (await store.load())?.counts ?? new Map<string, number>();
  const found = [...counts].filter(([name]) => name.startsWith('["transitions"'));
  await store.close();
  return Object.fromEntries(found);
}

describe(
  "4 processes, 100,000 agent steps, all processes restarted in the middle",
  { timeout: 90_000 },
  () => {
    it("are all counted, and none twice, in a file store", async () => {
      const folder = await mkdtemp(join(tmpdir(), "cachesage-processes-"));
      const before = await play("file", folder, 0);
      const after = await play("file", folder, 1);
      expect(Math.min(...[...before, ...after].map(({ batches }) => batches))).toBeGreaterThan(0);
      expect(await counted(new FileStore(folder))).toEqual(Object.fromEntries(transitions()));
      await rm(folder, { recursive: true });
    });

    it.runIf(hasRedis)(
      "are all counted, and none twice, on a Redis server that does not answer for a while, twice",
      async () => {
        await using server = await RedisServer.start();
        for (const half of [0, 1] as const) {
          const playing = play("redis", server.url, half);
          await delay(600);
          server.freeze();
          await delay(800);
          server.thaw();
          await playing;
        }
        const store = await RedisStore.fromUrl(server.url);
        expect(await counted(store)).toEqual(Object.fromEntries(transitions()));
      },
    );
  },
);
