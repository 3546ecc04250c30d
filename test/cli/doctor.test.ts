import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createPlainServer } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { Packr } from "msgpackr";
import { describe, expect, test, vi } from "vitest";
import { Publisher } from "zeromq";
import { runProgram } from "../../src/cli/program.ts";
import type { Diagnosis } from "../../src/doctor/examine.ts";
import { startTrialServer } from "../../src/testing/index.ts";
import { startNano } from "../embedded/nano.ts";
import { noLlamaServer, startLlamaServer } from "../engines/real/llama-server.ts";

const run = (...words: readonly string[]) => runWith({}, ...words);

async function runWith(env: Readonly<Record<string, string>>, ...words: readonly string[]) {
  const written = { stdout: "", stderr: "" };
  const exitCode = await runProgram(words, {
    stdout: (text) => void (written.stdout += text),
    stderr: (text) => void (written.stderr += text),
    signal: new AbortController().signal,
    isTTY: false,
    env,
  });
  return { ...written, exitCode };
}

const doctor = (engine: string, url: string, ...more: readonly string[]) =>
  run("doctor", "--engine", engine, "--url", url, ...more);

describe("what is wrong is one clear sentence, and what to do is another", () => {
  const engines = [
    "vllm",
    "llama-server",
    "dynamo",
    "sglang",
    "tensorrt-llm",
    "llm-d",
    "embedded",
    "openai",
    "anthropic",
  ];

  test.each(engines)("%s: nothing listens", async (engine) => {
    const server = await startTrialServer("silent");
    await server.close();
    const { exitCode, stdout, stderr } = await doctor(engine, server.url);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toMatch(
      /^error: \[.+\] nothing answers at .+, got ECONNREFUSED\nStart the engine(, or check host and port\.| with: cachesage serve, or name .+\.)\n$/,
    );
  });

  test.each(engines)("%s: a web page", async (engine) => {
    await using server = await startTrialServer("web page");
    expect(await doctor(engine, server.url)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/answered no JSON, got text\/html\nSomething else listens there/),
    });
  });

  test.each(engines)("%s: another path or another server", async (engine) => {
    await using server = await startTrialServer(() => undefined);
    expect(await doctor(engine, `${server.url}/wrong`)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(
        /refused, got status 404: not found\nCheck the url and the engine's name/,
      ),
    });
  });

  test.each(engines)("%s: a locked door", async (engine) => {
    const server = createPlainServer((_request, response) => {
      response.writeHead(401, { "content-type": "application/json" });
      response.end('{"error":{"message":"Invalid API key"}}');
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await doctor(engine, url)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/got status 401: Invalid API key\nPass the key .+ --api-key\.\n$/),
    });
    server.close();
  });

  test.each(engines)("%s: a certificate that nobody trusts, and TLS where there is none", async (engine) => {
    const [key, cert] = ["key", "cert"].map((name) =>
      readFileSync(new URL(`../engines/fixtures/self-signed-${name}.pem`, import.meta.url)),
    );
    const secure = createServer({ key, cert }).listen(0, "127.0.0.1");
    await once(secure, "listening");
    const { port } = secure.address() as AddressInfo;
    expect((await doctor(engine, `https://127.0.0.1:${port}`)).stderr).toMatch(
      /the TLS certificate of 127\.0\.0\.1:\d+ is not trusted, got DEPTH_ZERO_SELF_SIGNED_CERT\nGive Node/,
    );
    secure.close();
    await using plain = await startTrialServer(() => ({}));
    expect((await doctor(engine, plain.url.replace("http:", "https:"))).stderr).toMatch(
      /speaks no TLS, got \w+\nWrite http:\/\//,
    );
  });

  test.each(engines)("%s: an answer of another shape, and one without an end", async (engine) => {
    await using server = await startTrialServer(() => ({ garbage: true }));
    expect(await doctor(engine, server.url)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/^error: \[.+\] .+\n.*Name the engine that runs there.*\n$/),
    });
    const circle = createPlainServer((_request, response) => {
      response.writeHead(302, { location: "/login" }).end();
    }).listen(0, "127.0.0.1");
    await once(circle, "listening");
    const { port } = circle.address() as AddressInfo;
    expect((await doctor(engine, `http://127.0.0.1:${port}`)).stderr).toMatch(
      /sends its visitors round in circles.+\nCheck the url, and the proxy before it\.\n$/,
    );
    circle.close();
  });

  test.each(engines)("%s: a url without its beginning", async (engine) => {
    expect(await doctor(engine, "localhost:8000")).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/is no address of a server\nWrite it whole, from http:\/\/ on/),
    });
  });

  test("another vendor's key is not sent", async () => {
    const keys: unknown[] = [];
    await using server = await startTrialServer(({ headers }) => {
      keys.push(headers["x-api-key"], headers["authorization"]);
      return { data: [{ id: "m" }] };
    });
    const env = { OPENAI_API_KEY: "theirs", ANTHROPIC_API_KEY: "own" };
    const words = ["doctor", "--engine", "anthropic", "--url", server.url];
    expect((await runWith(env, ...words)).stdout).toContain(": m\n");
    expect(keys).toContain("own");
    expect(keys.join()).not.toContain("theirs");
  });

  test("another engine than the one named", async () => {
    const engine = await startNano();
    for (const name of ["vllm", "llama-server", "dynamo", "sglang"])
      expect(await doctor(name, engine.url)).toMatchObject({
        exitCode: 1,
        stderr: expect.stringMatching(/\n.+\n$/),
      });
    await engine.close();
  });

  test("an engine or option that does not exist is used wrongly", async () => {
    expect(await doctor("vlm", "http://127.0.0.1:1")).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("Known: anthropic"),
    });
    expect(await doctor("vllm", "http://127.0.0.1:1", "--options", '{"priorty":true}')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("priorty"),
    });
    expect(await doctor("vllm", "http://127.0.0.1:1", "--options", "priority")).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("expected a JSON object, got priority"),
    });
  });
});

const verdictsOf = ({ findings }: Diagnosis) =>
  Object.fromEntries(findings.map(({ what, verdict }) => [what, verdict]));

test("the embedded engine carries out every verb, and a warm prompt is cached", async () => {
  const engine = await startNano();
  const { exitCode, stdout } = await doctor("embedded", engine.url, "--json");
  const byPriority = await startNano({ schedulingPolicy: "priority" });
  const other = await doctor("embedded", byPriority.url, "--json");
  await Promise.all([engine.close(), byPriority.close()]);
  expect(verdictsOf(JSON.parse(other.stdout) as Diagnosis)).toMatchObject({ priority: "works" });
  expect(exitCode).toBe(0);
  const diagnosis = JSON.parse(stdout) as Diagnosis;
  expect(verdictsOf(diagnosis)).toMatchObject({
    "cached tokens": "works",
    metrics: "works",
    "request hints": "works",
    retain: "works",
    release: "works",
    prefetch: "works",
    evict: "works",
    cancel: "works",
    priority: "needs flag",
  });
  const { add } = diagnosis.findings.find(({ what }) => what === "priority") ?? {};
  expect(add).toBe("--scheduling-policy priority");
  expect(diagnosis.prefix?.warmCachedTokens).toBeGreaterThan(diagnosis.prefix?.coldCachedTokens ?? 0);
});

test.skipIf(noLlamaServer)("llama-server without its flags is told which ones to add", async () => {
  await using server = await startLlamaServer({ savesSlots: false });
  const { stdout } = await doctor("llama-server", server.url);
  expect(stdout).toMatch(/llama-server b\d+.* at .+: nano/);
  expect(stdout).toMatch(/evict +│ needs flag │/);
  expect(stdout).toContain("\nTo add:\n  evict: --slot-save-path DIR\n");
  expect(stdout).toMatch(/prefetch +│ works +│ emulated; afterwards \d+ of \d+ tokens were cached/);
});

test("a router that learns late which replica has a prompt is asked again before it is said to cache nothing", async () => {
  const asked = new Map<string, number>();
  await using server = await startTrialServer(({ path, body }) => {
    if (path === "/health") return { status: "healthy", instances: [] };
    if (path === "/v1/models") return { data: [{ id: "tiny" }] };
    if (path !== "/v1/chat/completions") return undefined;
    const prompt = JSON.stringify((body as { messages: unknown }).messages);
    const times = (asked.get(prompt) ?? 0) + 1;
    asked.set(prompt, times);
    return {
      usage: { prompt_tokens: 600, prompt_tokens_details: { cached_tokens: times > 2 ? 592 : 0 } },
    };
  });
  const diagnosis = JSON.parse((await doctor("dynamo", server.url, "--json")).stdout) as Diagnosis;
  expect(verdictsOf(diagnosis)).toMatchObject({ "cached tokens": "works" });
  expect(diagnosis.prefix).toMatchObject({ coldCachedTokens: 0, warmCachedTokens: 592 });
});

test("a strict server without cached tokens is told apart from a lenient one with", async () => {
  await using server = await startTrialServer(({ path, body }) => {
    if (path === "/health") return { status: "healthy", instances: [] };
    if (path === "/v1/models") return { data: [{ id: "tiny" }] };
    const isUnknown = Object.keys(body ?? {}).includes("cachesage_trial");
    return path === "/v1/chat/completions" && !isUnknown ? { usage: { prompt_tokens: 600 } } : undefined;
  });
  const { stderr } = await doctor("dynamo", server.url, "--json");
  // 404 is no refusal of a field: the server is gone as far as that request goes.
  expect(stderr).toContain("status 404");
});

test("a plain prompt that is refused ends the trials: nothing that is refused then says anything of hints", async () => {
  const server = createPlainServer((request, response) => {
    const page = request.url === "/v1/models" ? { data: [{ id: "tiny", owned_by: "vllm" }] } : undefined;
    response.writeHead(page ? 200 : 400).end(JSON.stringify(page ?? { message: "longer than 512 tokens" }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { exitCode, stdout, stderr } = await doctor("vllm", url);
  server.close();
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
  expect(stderr).toMatch(
    /^error: \[vllm\] a plain prompt of some 600 tokens for tiny is refused: http\S+ refused, got status 400: longer than 512 tokens\n.+--model/,
  );
});

test("an empty variable is no key", async () => {
  await using server = await startTrialServer("web page");
  const { stderr } = await runWith({ OPENAI_API_KEY: "" }, "doctor", "--engine", "vllm", "--url", server.url);
  expect(stderr).toContain("answered no JSON");
});

test("a server that never answers a prompt is told in a sentence", async () => {
  const clocks: AbortController[] = [];
  const clock = vi.spyOn(AbortSignal, "timeout").mockImplementation(() => {
    clocks.push(new AbortController());
    return (clocks.at(-1) as AbortController).signal;
  });
  const server = createPlainServer((request, response) => {
    if (request.url === "/v1/chat/completions") return clocks.at(-1)?.abort();
    response.end(JSON.stringify({ version: "1", data: [{ id: "tiny", owned_by: "vllm" }] }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { exitCode, stderr } = await doctor("vllm", url);
  server.closeAllConnections();
  server.close();
  clock.mockRestore();
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/^error: \[vllm\] http\S+ gave no answer within 60000 ms\n/);
});

test("an engine that takes a priority whether or not it counts is not said to go by it", async () => {
  const usage = { prompt_tokens: 600, prompt_tokens_details: { cached_tokens: 500 } };
  await using server = await startTrialServer(({ path }) => {
    if (path === "/v1/models") return { data: [{ id: "tiny", owned_by: "sglang" }] };
    if (path === "/server_info") return { version: "0.5.20", enable_priority_scheduling: false };
    return path === "/v1/chat/completions" ? { usage } : undefined;
  });
  const words = ["--json", "--options", '{"priority":true}'];
  const diagnosis = JSON.parse((await doctor("sglang", server.url, ...words)).stdout) as Diagnosis;
  expect(diagnosis.findings.find(({ what }) => what === "priority")).toMatchObject({
    verdict: "needs flag",
    add: "--enable-priority-scheduling, and the adapter's option priority",
  });
  expect(verdictsOf(diagnosis)).toMatchObject({ retain: "needs flag", prefetch: "works" });
});

test("events of a publisher that is faster than its listener's arrival are heard all the same", async () => {
  const packr = new Packr({ useRecords: false });
  const publisher = new Publisher({ linger: 0 });
  await publisher.bind("tcp://127.0.0.1:0");
  const told: Promise<void>[] = [];
  await using server = await startTrialServer(({ path }) => {
    if (path === "/v1/models") return { data: [{ id: "tiny", owned_by: "vllm" }] };
    if (path !== "/v1/chat/completions") return undefined;
    const number = Buffer.alloc(8);
    number.writeBigInt64BE(BigInt(told.length));
    const batch = packr.pack([0, [["BlockStored", [told.length], null, [1], 1]]]);
    told.push(publisher.send(["", number, batch]));
    return { usage: { prompt_tokens: 600 } };
  });
  const options = JSON.stringify({ events: [{ endpoint: publisher.lastEndpoint }] });
  const { stdout } = await doctor("vllm", server.url, "--json", "--options", options);
  await Promise.all(told);
  publisher.close();
  expect((JSON.parse(stdout) as Diagnosis).findings.find(({ what }) => what === "events")).toMatchObject({
    verdict: "works",
    detail: expect.stringMatching(/none lost\.$/),
  });
});

test("engines lists every adapter with its verbs, and one with its options", async () => {
  const { stdout } = await run("engines", "--json");
  const listed = JSON.parse(stdout) as {
    name: string;
    supports: Record<string, string>;
    seen: string | null;
  }[];
  expect(listed.map(({ name }) => name)).toContain("vllm");
  expect(listed.find(({ name }) => name === "embedded")?.supports).toEqual({
    retain: "native",
    release: "native",
    prefetch: "native",
    pin: "native",
    evict: "native",
    cancel: "native",
    priority: "optional",
  });
  expect(listed.find(({ name }) => name === "sglang")?.seen).toBeNull();
  expect((await run("engines", "sglang")).stdout).toContain("--enable-session-radix-cache");
  expect((await run("engines", "--markdown")).stdout).toContain("| `openai` | - | - | optional |");
});
