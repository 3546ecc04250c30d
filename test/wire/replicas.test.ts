import { expect, test } from "vitest";
import vllm from "../../src/engines/vllm.ts";
import type { OutgoingCall } from "../../src/runtime/engine.ts";
import { startTrialServer, type TrialServer } from "../../src/testing/index.ts";
import { createReplicas } from "../../src/wire/replicas.ts";

const healthy = () =>
  startTrialServer(({ path }) => {
    if (path === "/version") return { version: "1" };
    if (path === "/v1/models") return { data: [{ id: "tiny" }] };
    return path === "/v1/chat/completions" ? { usage: { prompt_tokens: 10 } } : undefined;
  });
/** A server that has a page of metrics. */
const measured = (page: string) =>
  startTrialServer(({ path }) => {
    if (path === "/version") return { version: "1" };
    if (path === "/v1/models") return { data: [{ id: "tiny" }] };
    return path === "/metrics" ? page : undefined;
  });
const adapterOf = ({ url }: TrialServer) => vllm.create(vllm.options.parse({ url }));
const baseOf = ({ url }: TrialServer) => `${url}/v1`;
const call = (session: string): OutgoingCall => ({
  url: "http://first/v1/chat/completions",
  identity: { agent: "a", run: `run-of-${session}`, session, namespace: "" },
});
const prefetch = (run?: string) =>
  ({
    type: "prefetch",
    prefix: { agent: "a", ...(run !== undefined && { run }) },
    value: 1,
    probability: 1,
    tokens: 10,
    body: { model: "tiny", messages: [] },
  }) as const;
const asked = ({ requests }: TrialServer) =>
  requests
    .filter(({ path }) => path === "/v1/chat/completions")
    .map(({ headers }) => headers["x-session-id"]);
/** So many that chance alone, which goes by the servers' ports, leaves no server with few of them. */
const sessions = Array.from({ length: 300 }, (_, index) => `session-${index}`);

test("sessions stick, spread over all, move when their server is down, and move back when it is up again", async () => {
  await using first = await healthy();
  await using second = await healthy();
  await using third = await healthy();
  let now = 0;
  const replicas = createReplicas([first, second, third].map(adapterOf), { coolDownMs: 100, now: () => now });
  expect(await replicas.connect()).toMatchObject({ engine: "vllm", models: ["tiny"] });
  const place = () => new Map(sessions.map((session) => [session, replicas.route?.(call(session))?.baseURL]));
  const before = place();
  expect(place()).toEqual(before);
  const shares = [first, second, third].map(
    ({ url }) => [...before.values()].filter((base) => base === `${url}/v1`).length,
  );
  for (const share of shares) expect(share).toBeGreaterThan(40);

  const down = sessions.find((session) => before.get(session) === `${second.url}/v1`) ?? "";
  replicas.route?.(call(down))?.settled(false);
  const during = place();
  const isGone = (session: string) => before.get(session) === `${second.url}/v1`;
  expect([...during.values()]).not.toContain(`${second.url}/v1`);
  const stayed = sessions.filter((session) => !isGone(session));
  expect(stayed.map((session) => during.get(session))).toEqual(stayed.map((session) => before.get(session)));
  now = 200;
  await expect.poll(() => [...place()]).toEqual([...before]);
  await replicas.close();
});

test("a server that is still down stays out, and when all are down they are tried all the same", async () => {
  await using first = await healthy();
  const gone = await healthy();
  await gone.close();
  let now = 0;
  const replicas = createReplicas([first, gone].map(adapterOf), { coolDownMs: 100, now: () => now });
  await replicas.connect();
  for (let round = 0; round < 3; round++) {
    now += 200;
    for (const session of sessions) expect(replicas.route?.(call(session))?.baseURL).toBe(`${first.url}/v1`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  replicas.route?.(call("x"))?.settled(false);
  expect(new Set(sessions.map((session) => replicas.route?.(call(session))?.baseURL)).size).toBe(2);
  await replicas.close();
  const none = createReplicas([gone].map(adapterOf));
  await expect(none.connect()).rejects.toMatchObject({ code: "ENGINE_UNREACHABLE" });
  expect(() => createReplicas([])).toThrow(RangeError);
});

test("a run's hints go to its session's server, an anchor's to all", async () => {
  await using first = await healthy();
  await using second = await healthy();
  const replicas = createReplicas([first, second].map(adapterOf));
  await replicas.connect();
  for (const session of sessions.slice(0, 10)) {
    replicas.observe?.({ type: "run-start", at: 0, run: `run-of-${session}`, session });
    expect(await replicas.apply([prefetch(`run-of-${session}`)])).toMatchObject([{ status: "applied" }]);
  }
  for (const session of sessions.slice(0, 10)) {
    const server = replicas.route?.(call(session))?.baseURL === `${first.url}/v1` ? first : second;
    expect(asked(server)).toContain(session);
  }
  expect(asked(first).length + asked(second).length).toBe(10);
  await replicas.apply([prefetch()]);
  expect(asked(first).length + asked(second).length).toBe(12);
  await replicas.close();
});

test("a server that a policy chose is taken while it is up; the run's hints and events go there from then on", async () => {
  await using first = await healthy();
  await using second = await healthy();
  const replicas = createReplicas([first, second].map(adapterOf));
  await replicas.connect();
  const own = replicas.route?.(call("s"))?.baseURL;
  const other = own === baseOf(first) ? second : first;
  const run = "run-of-s";
  replicas.observe?.({ type: "run-start", at: 0, run, session: "s" });
  const chosen = { ...call("s"), request: "1", worker: baseOf(other) };
  const place = { agent: "a", run, session: "s", namespace: "", request: "1" };
  replicas.observe?.({
    type: "request-start",
    at: 0,
    ...place,
    prompt: { anchor: { hash: "", length: 0 }, history: [] },
  });
  expect(replicas.route?.({ ...chosen, isRepeat: true })?.baseURL).toBe(baseOf(other));
  expect(replicas.route?.(call("s"))?.baseURL).toBe(own);
  const route = replicas.route?.(chosen);
  expect(route?.baseURL).toBe(baseOf(other));
  expect(replicas.route?.(call("s"))?.baseURL).toBe(baseOf(other));
  const underWay = () => replicas.workers?.().find(({ baseURL }) => baseURL === baseOf(other))?.underWay;
  expect(underWay()).toBe(1);
  replicas.observe?.({ type: "request-end", at: 1, ...place, status: "completed" });
  expect(underWay()).toBe(0);
  expect(await replicas.apply([prefetch(run)])).toMatchObject([{ status: "applied" }]);
  expect(asked(other)).toEqual(["s"]);
  expect(replicas.route?.({ ...chosen, worker: "http://elsewhere/v1" })).toBeUndefined();
  route?.settled(false);
  expect(
    replicas
      .workers?.()
      .map(({ isUp }) => isUp)
      .toSorted(),
  ).toEqual([false, true]);
  expect(replicas.route?.(chosen)?.baseURL).toBe(own);
  await replicas.close();
});

test("each server's status is told, and the sums of those that answer; what one does not tell is not known of all", async () => {
  await using first = await measured("vllm:num_requests_running 2\nvllm:num_requests_waiting 1\n");
  await using second = await measured("vllm:num_requests_running 3\n");
  const third = await measured("vllm:num_requests_running 9\n");
  const replicas = createReplicas([first, second, third].map(adapterOf));
  await replicas.connect();
  await third.close();
  const status = await replicas.status?.();
  expect(status?.running).toBe(5);
  expect(status).not.toHaveProperty("waiting");
  expect(status?.replicas).toMatchObject([
    { baseURL: baseOf(first), isUp: true, status: { running: 2, waiting: 1 } },
    { baseURL: baseOf(second), isUp: true, status: { running: 3 } },
    { baseURL: baseOf(third), isUp: false },
  ]);
  await first.close();
  await second.close();
  await expect(replicas.status?.()).rejects.toMatchObject({ code: "ENGINE_UNREACHABLE" });
  await replicas.close();
});

test("what each server has served is counted from its answers", async () => {
  await using first = await healthy();
  await using second = await healthy();
  const replicas = createReplicas([first, second].map(adapterOf));
  await replicas.connect();
  const identity = { agent: "a", run: "r", namespace: "" };
  const prompt = { anchor: { hash: "h", length: 1 }, history: [] };
  const finish = (request: string, worker: string, status: "completed" | "failed") => {
    replicas.observe?.({ type: "request-start", at: 0, ...identity, request, prompt });
    replicas.route?.({ url: "", identity, request, worker });
    const usage = { promptTokens: 100, cachedTokens: 60, outputTokens: 1 };
    replicas.observe?.({
      type: "request-end",
      at: 1,
      ...identity,
      request,
      status,
      usage,
      callsTools: false,
    });
  };
  finish("1", baseOf(first), "completed");
  finish("2", baseOf(first), "completed");
  finish("3", baseOf(second), "failed");
  expect(replicas.workers?.()).toMatchObject([
    { baseURL: baseOf(first), underWay: 0, served: { requests: 2, promptTokens: 200, cachedTokens: 120 } },
    { baseURL: baseOf(second), underWay: 0, served: { requests: 0, promptTokens: 0, cachedTokens: 0 } },
  ]);
  await replicas.close();
});

test("a request whose end is never seen is not under way for ever", async () => {
  await using server = await healthy();
  const replicas = createReplicas([adapterOf(server)]);
  const begin = (request: string, at: number) => {
    const { identity } = call("1");
    const prompt = { anchor: { hash: "", length: 0 }, history: [] };
    replicas.observe?.({ type: "request-start", at, ...identity, request, prompt });
    replicas.route?.({ ...call("1"), request });
  };
  begin("lost", 0);
  begin("2", 600_000);
  expect(replicas.workers?.()).toMatchObject([{ underWay: 2 }]);
  begin("3", 600_001);
  expect(replicas.workers?.()).toMatchObject([{ underWay: 2 }]);
  replicas.observe?.({
    type: "request-end",
    at: 0,
    ...call("1").identity,
    request: "lost",
    status: "failed",
  });
  expect(replicas.workers?.()).toMatchObject([{ underWay: 2 }]);
});
