import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { array, assert, asyncProperty, dictionary, integer, string } from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { registry } from "../../src/registry.ts";
import type { Counts, Namespace, Store } from "../../src/runtime/store.ts";
import { MOST_COUNTS } from "../../src/runtime/totals.ts";
import { FileStore } from "../../src/stores/file.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import { hasRedis, RedisServer } from "./redis-server.ts";

/** A kind of store. Two that are opened alike hold the same; `undefined` when there is one only. */
interface Kind {
  readonly name: string;
  readonly open: (namespace?: Partial<Namespace>) => Promise<Store>;
  readonly isShared: boolean;
  readonly hasLeases: boolean;
}

let folder: string;
let server: RedisServer | undefined;
let spaces = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cachesage-stores-"));
  if (hasRedis) server = await RedisServer.start();
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const kinds: readonly Kind[] = [
  { name: "memory", isShared: false, hasLeases: true, open: async (namespace) => new MemoryStore(namespace) },
  {
    name: "file",
    isShared: true,
    hasLeases: false,
    open: async (namespace) => new FileStore(folder, namespace),
  },
  ...(hasRedis
    ? [
        {
          name: "redis",
          isShared: true,
          hasLeases: true,
          open: (namespace?: Partial<Namespace>) => RedisStore.fromUrl(server?.url ?? "", namespace),
        },
      ]
    : []),
];

const counted = (counts: Readonly<Record<string, number>>): Counts => new Map(Object.entries(counts));
const held = async (store: Store) => Object.fromEntries((await store.load())?.counts ?? []);
/** Nothing of one test is seen by another. */
const fresh = (): Namespace => ({ tenant: `tenant-${++spaces}`, workload: "team" });

it("tests every store there is", async () => {
  const names = await registry("store", new URL("../../src/stores/", import.meta.url)).names();
  expect(names).toEqual(["file", "memory", "redis"]);
});

describe.each(kinds)("a $name store", ({ name, open, isShared, hasLeases }) => {
  it("is called like its file, and holds nothing at first", async () => {
    await using opened = await disposable(open(fresh()));
    expect(opened.store.name).toBe(name);
    expect(await held(opened.store)).toEqual({});
  });

  it("adds up what batches of several writers count", async () => {
    await using opened = await disposable(open(fresh()));
    const { store } = opened;
    await store.add({ writer: "a", sequence: 1, counts: counted({ x: 1, y: 0.25 }) });
    await store.add({ writer: "b", sequence: 1, counts: counted({ x: 2, 'é "\n ✓': 3 }) });
    expect(await held(store)).toEqual({ x: 3, y: 0.25, 'é "\n ✓': 3 });
  });

  it("adds a batch once however often it is sent", async () => {
    await using opened = await disposable(open(fresh()));
    const { store } = opened;
    const batch = { writer: "a", sequence: 1, counts: counted({ x: 1 }) };
    await Promise.all([store.add(batch), store.add(batch)]);
    await store.add({ ...batch, sequence: 2 });
    await store.add(batch);
    expect(await held(store)).toEqual({ x: 2 });
  });

  it("says that nothing has changed since a version, until something has", async () => {
    await using opened = await disposable(open(fresh()));
    const { store } = opened;
    await store.add({ writer: "a", sequence: 1, counts: counted({ x: 1 }) });
    const first = await store.load();
    expect(await store.load(first?.version)).toBeUndefined();
    await store.add({ writer: "a", sequence: 2, counts: counted({ x: 1 }) });
    const second = await store.load(first?.version);
    expect(second).toMatchObject({ epoch: first?.epoch, counts: counted({ x: 2 }) });
  });

  it("forgets when it is reset, and begins another epoch", async () => {
    await using opened = await disposable(open(fresh()));
    const { store } = opened;
    await store.add({ writer: "a", sequence: 1, counts: counted({ x: 1 }) });
    const before = await store.load();
    await store.reset();
    const after = await store.load(before?.version);
    expect(after?.counts.size).toBe(0);
    expect(after?.epoch).not.toBe(before?.epoch);
    await store.add({ writer: "a", sequence: 2, counts: counted({ y: 1 }) });
    expect(await held(store)).toEqual({ y: 1 });
  });

  it("keeps the text that was put last under a name, of its own namespace, until it is reset", async () => {
    const [namespace, other] = [fresh(), fresh()];
    await using opened = await disposable(open(namespace));
    await using elsewhere = await disposable(open(other));
    const { store } = opened;
    expect(await store.get?.("policies")).toBeUndefined();
    await store.put?.("policies", "first");
    await store.put?.("policies", 'é "\n ✓');
    await elsewhere.store.put?.("policies", "other");
    expect(await store.get?.("policies")).toBe('é "\n ✓');
    expect(await store.get?.("more")).toBeUndefined();
    await store.reset();
    expect(await store.get?.("policies")).toBeUndefined();
    expect(await elsewhere.store.get?.("policies")).toBe("other");
  });

  it("takes a batch again after it was reset", async () => {
    await using opened = await disposable(open(fresh()));
    const { store } = opened;
    const batch = { writer: "a", sequence: 1, counts: counted({ x: 1 }) };
    await store.add(batch);
    await store.reset();
    await store.add(batch);
    expect(await held(store)).toEqual({ x: 1 });
  });

  it("stays bounded: with too many names all counts are halved and what was seen once goes", async () => {
    await using opened = await disposable(open(fresh()));
    const { store } = opened;
    await store.add({ writer: "a", sequence: 1, counts: counted({ often: 10 }) });
    const before = await store.load();
    const rare = Array.from({ length: MOST_COUNTS }, (_, i) => [`rare ${i}`, 1] as const);
    await store.add({ writer: "a", sequence: 2, counts: new Map(rare) });
    const after = await store.load(before?.version);
    expect(after?.counts).toEqual(counted({ often: 5 }));
    expect(after?.epoch).not.toBe(before?.epoch);
  });

  it("adds up any batches in any order", async () => {
    const batches = array(dictionary(string(), integer({ min: 0, max: 1000 })), { maxLength: 6 });
    await assert(
      asyncProperty(batches, async (list) => {
        await using opened = await disposable(open(fresh()));
        const { store } = opened;
        await Promise.all(
          list.map((counts, i) => store.add({ writer: `w${i}`, sequence: 1, counts: counted(counts) })),
        );
        const sum = new Map<string, number>();
        for (const counts of list)
          for (const [key, count] of Object.entries(counts)) sum.set(key, (sum.get(key) ?? 0) + count);
        expect((await store.load())?.counts ?? new Map()).toEqual(sum);
      }),
      { numRuns: 15, seed: 1 },
    );
  });

  it.runIf(isShared)("keeps what it holds when it is closed and opened again", async () => {
    const namespace = fresh();
    {
      await using opened = await disposable(open(namespace));
      await opened.store.add({ writer: "a", sequence: 1, counts: counted({ x: 1 }) });
    }
    await using again = await disposable(open(namespace));
    expect(await held(again.store)).toEqual({ x: 1 });
    await again.store.add({ writer: "a", sequence: 1, counts: counted({ x: 1 }) });
    expect(await held(again.store)).toEqual({ x: 1 });
  });

  it("shares nothing between tenants, nor between workloads", async () => {
    const one = fresh();
    const others = [fresh(), { ...one, workload: "other" }, { ...one, tenant: one.tenant.toUpperCase() }];
    await using opened = await disposable(open(one));
    await opened.store.add({ writer: "a", sequence: 1, counts: counted({ x: 1 }) });
    for (const namespace of others) {
      await using other = await disposable(open(namespace));
      expect(await held(other.store)).toEqual({});
    }
    expect(opened.store.namespace).toEqual(one);
  });

  it.each(["", "a/b", "a}b", "a".repeat(81), "../x"])("refuses the tenant %j", async (tenant) => {
    await expect(async () => open({ tenant })).rejects.toMatchObject({
      code: "INVALID_OPTIONS",
      message: expect.stringContaining(`option tenant`),
    });
  });

  it.runIf(hasLeases)("leases an id to one at a time, for a time", async () => {
    await using opened = await disposable(open(fresh()));
    const lease = (id: string, milliseconds: number) => opened.store.lease?.(id, milliseconds);
    expect(await Promise.all([lease("p", 60_000), lease("p", 60_000)])).toEqual([true, false]);
    expect(await lease("q", 1)).toBe(true);
    await expect.poll(() => lease("q", 60_000)).toBe(true);
  });

  it("can be closed twice", async () => {
    const store = await open(fresh());
    await store.close();
    await expect(store.close()).resolves.toBeUndefined();
  });
});

async function disposable(opening: Promise<Store>) {
  const store = await opening;
  return { store, [Symbol.asyncDispose]: () => store.close() };
}
