import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { beforeAll, afterAll, describe, expect, it } from "vitest";
import { RedisStore } from "../../src/stores/redis.ts";
import { hasRedis, RedisServer } from "./redis-server.ts";

const batch = (sequence: number) => ({ writer: "w", sequence, counts: new Map([["x", 1]]) });
const soon = { timeoutMs: 200 };

it.each(["", "nowhere", "http://localhost:6379"])("refuses the url %j", async (url) => {
  await expect(RedisStore.fromUrl(url)).rejects.toMatchObject({
    code: "INVALID_OPTIONS",
    message: expect.stringContaining("option url"),
  });
});

it("is made without a server, and says in time that there is none", async () => {
  const store = await RedisStore.fromUrl("redis://127.0.0.1:1", soon);
  await expect(store.add(batch(1))).rejects.toMatchObject({ code: "STORE", store: "redis" });
  await expect(store.lease("p", 1000)).rejects.toMatchObject({ code: "STORE" });
  await store.close();
  await expect(store.load()).rejects.toThrow("the store is closed");
});

it("gives up in time on what takes a connection and never answers", async () => {
  const silent = createServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  const store = await RedisStore.fromUrl(`redis://127.0.0.1:${(silent.address() as AddressInfo).port}`, soon);
  await expect(store.load()).rejects.toMatchObject({ code: "STORE" });
  await store.close();
  silent.close();
});

describe.runIf(hasRedis)("with a server", () => {
  let server: RedisServer;
  beforeAll(async () => void (server = await RedisServer.start()));
  afterAll(() => server[Symbol.asyncDispose]());

  it("goes on where it was when the server is back, and adds no batch twice", async () => {
    // Long enough for a server that answers on a busy machine.
    const store = await RedisStore.fromUrl(server.url, { timeoutMs: 1000, workload: "frozen" });
    await store.add(batch(1));
    server.freeze();
    await expect(store.add(batch(2))).rejects.toThrow("no answer within 1000 ms");
    server.thaw();
    await expect.poll(() => store.add(batch(2)).then(() => true)).toBe(true);
    expect((await store.load())?.counts).toEqual(new Map([["x", 2]]));
    await store.close();
  });

  it("sees that the server has lost everything", async () => {
    const store = await RedisStore.fromUrl(server.url, { workload: "flushed" });
    await store.add(batch(1));
    const before = await store.load();
    await server[Symbol.asyncDispose]();
    server = await RedisServer.start(server.port);
    await expect
      .poll(() =>
        store.add(batch(2)).then(
          () => true,
          () => false,
        ),
      )
      .toBe(true);
    const after = await store.load(before?.version);
    expect(after?.counts).toEqual(new Map([["x", 1]]));
    expect(after?.epoch).not.toBe(before?.epoch);
    await store.close();
  });
});
