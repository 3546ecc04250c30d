import { mkdtemp, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { EmbeddedEngine, EmbeddedOptionsInput } from "../../src/embedded/index.ts";
import { ask, hints, named, startNano, system, user, words } from "./nano.ts";

let temporary: string;
let engine: EmbeddedEngine | undefined;
beforeEach(async () => {
  temporary = await mkdtemp(path.join(tmpdir(), "cachesage-test-host-"));
  vi.stubEnv("TMPDIR", temporary);
});
afterEach(async () => {
  await engine?.close();
  engine = undefined;
  vi.unstubAllEnvs();
  await rm(temporary, { recursive: true });
});

const MiB = 1024 * 1024;

/** Holds about two of the prompts below. */
const start = async (options: EmbeddedOptionsInput): Promise<EmbeddedEngine> => {
  engine = await startNano({ kvTokens: 1024, sequences: 4, maxRunning: 4, ...options });
  return engine;
};

const prompt = (seed: number) => [system(words(300, seed)), user("Go on.")];

const files = async (): Promise<string[]> => {
  const names = await readdir(temporary, { recursive: true });
  return names.filter((name) => name.endsWith(".state")).map((name) => path.join(temporary, name));
};

const sizes = async (): Promise<number> => {
  const stats = await Promise.all((await files()).map((file) => stat(file)));
  return stats.reduce((sum, { size }) => sum + size, 0);
};

/** Asks for the first prompt, then for others that push it out. */
async function pushOut(on: EmbeddedEngine) {
  const cold = await ask(on, prompt(1));
  for (const seed of [2, 3, 4, 5]) await ask(on, prompt(seed));
  await on.settle();
  return cold;
}

test("a prompt that others pushed out is found again, and answered with the same text", async () => {
  const on = await start({ hostBytes: 64 * MiB });
  const cold = await pushOut(on);
  const { hitTokens } = on.stats();
  const again = await ask(on, prompt(1));
  expect(again.cachedTokens).toBe(cold.promptTokens - 1);
  expect(again.text).toBe(cold.text);
  const { host, ...stats } = on.stats();
  expect(stats.hitTokens).toBe(hitTokens + again.cachedTokens);
  expect(host?.loadedTokens).toBeGreaterThan(cold.promptTokens / 2);
  expect(host?.bytes).toBe(await sizes());
  expect(stats.residentTokens).toBeLessThanOrEqual(stats.capacityTokens);
  const metrics = await (await fetch(`${on.url}/metrics`)).text();
  expect(metrics).toMatch(new RegExp(`^cachesage_engine_host_bytes\\{[^}]*\\} ${host?.bytes}$`, "m"));
  expect(metrics).toMatch(
    new RegExp(`^cachesage_engine_host_loaded_tokens_total\\{[^}]*\\} ${host?.loadedTokens}$`, "m"),
  );
});

test("a prompt that begins like a saved one goes on from there", async () => {
  const on = await start({ hostBytes: 64 * MiB });
  const cold = await pushOut(on);
  const branch = [prompt(1)[0], user("Something else entirely, please.")] as never;
  const branched = await ask(on, branch);
  expect(branched.cachedTokens).toBeGreaterThan(cold.promptTokens - 20);
  await on.reset();
  expect((await ask(on, branch)).text).toBe(branched.text);
});

test("many at once that share beginnings, are sent back and come again get the texts they get cold", async () => {
  const heads = [1, 2, 3].map((seed) => system(words(200, seed)));
  const prompts = Array.from({ length: 12 }, (_, index) => [
    heads[index % 3],
    user(words(20 + index * 5, index + 50)),
  ]) as never[];
  const reference = await startNano();
  const texts: string[] = [];
  for (const messages of prompts) {
    await reference.reset();
    texts.push((await ask(reference, messages, { max_tokens: 40 })).text);
  }
  await reference.close();
  const on = await start({ hostBytes: 2 * MiB, kvTokens: 768 });
  for (let round = 0; round < 3; round++) {
    const answers = await Promise.all(prompts.map((messages) => ask(on, messages, { max_tokens: 40 })));
    expect(answers.map(({ text }) => text)).toEqual(texts);
  }
  expect(on.stats().host?.loadedTokens).toBeGreaterThan(0);
  expect(await sizes()).toBeLessThanOrEqual(2 * MiB);
});

test("a prefetch takes it from there too", async () => {
  const on = await start({ hostBytes: 64 * MiB });
  const cold = await pushOut(on);
  const before = on.stats().prefetch.computed;
  const payload = { prefix: "p", value: 1, body: { messages: prompt(1) } };
  expect((await on.applyHints(hints(["kv.prefetch", payload]))).outcomes).toMatchObject([
    { status: "applied" },
  ]);
  expect(on.stats().prefetch.computed - before).toBeLessThan(64);
  expect(await ask(on, prompt(1))).toEqual({ ...cold, cachedTokens: cold.promptTokens - 1 });
});

test("without the option there is no file, no count, and a miss", async () => {
  const off = await start({});
  const cold = await pushOut(off);
  expect((await ask(off, prompt(1))).cachedTokens).toBeLessThan(cold.promptTokens / 2);
  expect(off.stats()).not.toHaveProperty("host");
  expect(await (await fetch(`${off.url}/metrics`)).text()).not.toContain("host");
  expect(await readdir(temporary)).toEqual([]);
});

test("the budget is kept: the oldest use goes, and a state larger than it is not saved", async () => {
  const on = await start({ hostBytes: MiB });
  const cold = await pushOut(on);
  for (const seed of [6, 7, 8, 9]) {
    await ask(on, prompt(seed));
    await on.settle();
    expect(await sizes()).toBeLessThanOrEqual(MiB);
    expect(on.stats().host?.bytes).toBe(await sizes());
  }
  expect((await files()).length).toBeGreaterThan(0);
  expect((await ask(on, prompt(1))).cachedTokens).toBeLessThan(cold.promptTokens / 2);
  await on.close();
  const tiny = await start({ hostBytes: 1024 });
  await pushOut(tiny);
  expect(await files()).toEqual([]);
  expect(tiny.stats().host).toEqual({ bytes: 0, loadedTokens: 0 });
});

test("reset empties it, and close removes its folder", async () => {
  const on = await start({ hostBytes: 64 * MiB });
  const cold = await pushOut(on);
  await on.reset();
  expect(await files()).toEqual([]);
  expect(await ask(on, prompt(1))).toEqual(cold);
  await pushOut(on);
  expect((await files()).length).toBeGreaterThan(0);
  await on.close();
  expect(await readdir(temporary)).toEqual([]);
});

test.each([
  ["gone", (file: string) => rm(file)],
  ["cut short", (file: string) => truncate(file, 1000)],
  ["overwritten", async (file: string) => writeFile(file, Buffer.alloc((await stat(file)).size, 7))],
])("a file that is %s costs only the hit", async (_, damage) => {
  const on = await start({ hostBytes: 64 * MiB });
  const cold = await pushOut(on);
  for (const file of await files()) await damage(file);
  const missed = await ask(on, prompt(1));
  expect(missed.text).toBe(cold.text);
  expect(missed.cachedTokens).toBeLessThan(cold.promptTokens / 2);
  expect(await ask(on, prompt(1))).toEqual({ ...cold, cachedTokens: cold.promptTokens - 1 });
  for (const seed of [2, 3, 4, 5]) await ask(on, prompt(seed));
  expect(await ask(on, prompt(1))).toEqual({ ...cold, cachedTokens: cold.promptTokens - 1 });
});

test("a folder that is gone costs only the hits", async () => {
  const on = await start({ hostBytes: 64 * MiB });
  for (const name of await readdir(temporary)) await rm(path.join(temporary, name), { recursive: true });
  const cold = await pushOut(on);
  expect((await ask(on, prompt(1))).text).toBe(cold.text);
  expect(on.stats().host).toEqual({ bytes: 0, loadedTokens: 0 });
});

test("what a hint evicts for good is not saved", async () => {
  const on = await start({ hostBytes: 64 * MiB, kvTokens: 4096 });
  await ask(on, prompt(1), named("p", "a"));
  await on.applyHints(hints(["kv.release", { prefix: "a" }], ["kv.evict", { prefix: "p" }]));
  await on.settle();
  expect(on.stats().residentTokens).toBe(0);
  expect(await files()).toEqual([]);
});
