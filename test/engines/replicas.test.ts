import { expect, test } from "vitest";
import { CacheSage } from "../../src/cachesage.ts";
import { startTrialServer } from "../../src/testing/index.ts";
import { startNano } from "../embedded/nano.ts";
import { twoServers } from "../policies/two-servers.ts";
import { playTeam } from "./real/team.ts";

test("a team on two real engines loses no request when one of them dies", async () => {
  const [first, second] = [await startNano({ model: "pico" }), await startNano({ model: "pico" })];
  const options = { cacheHints: true };
  const urls = [first.baseURL, second.baseURL];
  const served = () => [first, second].map((engine) => engine.stats().promptTokens > 0);
  // Each run goes to one of them, by a hash of its id and their ports: of 30 runs hardly ever all to the same one.
  for (let seed = 3; seed < 18 && served().includes(false); seed++) {
    const both = await playTeam({ url: urls, model: "pico", options, seed, runs: 2, anchorWords: 60 });
    expect(both.statuses.every((status) => status === "completed")).toBe(true);
  }
  expect(served()).toEqual([true, true]);
  await using sage = await CacheSage.connect(urls);
  const { replicas, ...together } = (await sage.adapter.status?.()) ?? {};
  const resident = replicas?.map(({ status }) => status?.residentTokens ?? 0) ?? [];
  expect(Math.min(...resident)).toBeGreaterThan(0);
  expect(together.residentTokens).toBe(resident.reduce((sum, tokens) => sum + tokens, 0));
  expect(sage.stats.workers.map(({ baseURL, isUp }) => [baseURL, isUp])).toEqual(
    urls.map((url) => [url, true]),
  );
  const onConnected = () => second.close();
  const alone = await playTeam({
    url: urls,
    model: "pico",
    options,
    seed: 4,
    runs: 3,
    anchorWords: 60,
    onConnected,
  });
  expect(alone.statuses.every((status) => status === "completed")).toBe(true);
  await first.close();
});

test.each([502, 503, 504])(
  "a call that one server answers with %i goes to another one at once",
  async (status) => {
    await using app = await twoServers([() => ({ status }), () => ({ text: "here" })], {});
    const [first, second] = app.servers;
    const model = app.model({ maxRetries: 0 });
    let calls = 0;
    // Each session goes to one of them, by a hash of its name and their ports.
    for (; calls < 50 && first.requests.length === 0; calls++)
      expect(await app.ask(model, "where?", { session: String(calls) })).toBe("here");
    expect([first.requests.length, second.requests.length]).toEqual([1, calls]);
    expect(app.sage.stats.workers.map(({ isUp }) => isUp)).toEqual([false, true]);
    const ends = app.events.filter((event) => event.type === "request-end");
    expect(ends.map((end) => end.status)).toEqual(Array.from({ length: calls }, () => "completed"));
  },
);

test("where all are down, a call is tried at two of them, and the answer of the second is the client's", async () => {
  await using app = await twoServers([() => ({ status: 503 }), () => ({ status: 503 })], {});
  await expect(app.ask(app.model({ maxRetries: 0 }), "where?", { session: "s" })).rejects.toMatchObject({
    status: 503,
  });
  expect(app.servers.map(({ requests }) => requests.length)).toEqual([1, 1]);
  expect(app.sage.stats.workers.map(({ isUp }) => isUp)).toEqual([false, false]);
});

test("an address that cannot be read is an error, and no server at all as well", async () => {
  await expect(CacheSage.connect(["http://127.0.0.1:1", "nonsense"])).rejects.toMatchObject({
    code: "INVALID_OPTIONS",
  });
  await using gone = await startTrialServer("silent");
  await gone.close();
  await expect(CacheSage.connect([gone.url, gone.url])).rejects.toMatchObject({ code: "ENGINE_UNREACHABLE" });
});
