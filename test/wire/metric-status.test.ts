import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { createEngine } from "../../src/engine-registry.ts";

/** A server whose page of metrics is this; undefined: it has none. */
async function serve(page: string | undefined, status = 404) {
  const server = createServer((request, response) => {
    if (request.url !== "/metrics" || page === undefined) response.writeHead(status).end("no such page");
    else response.writeHead(200, { "content-type": "text/plain" }).end(page);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, "close");
    },
  };
}

const gauges = (values: Readonly<Record<string, number>>) =>
  Object.entries(values)
    .map(([name, value]) => `# TYPE ${name.split("{")[0]} gauge\n${name} ${value}\n`)
    .join("");

const pages = {
  vllm: gauges({
    'vllm:num_requests_running{engine="0"}': 3,
    'vllm:num_requests_waiting{engine="0"}': 2,
    'vllm:kv_cache_usage_perc{engine="0"}': 0.25,
    'vllm:cache_config_info{block_size="16",cache_dtype="auto",engine="0",num_gpu_blocks="100"}': 1,
  }),
  sglang: gauges({ 'sglang:num_running_reqs{model="m"}': 3, 'sglang:num_queue_reqs{model="m"}': 2 }),
  "llama-server": gauges({ "llamacpp:requests_processing": 3, "llamacpp:requests_deferred": 2 }),
  dynamo: gauges({ 'dynamo_frontend_router_queue_pending_requests{worker_type="decode"}': 2 }),
};
const load = { running: 3, waiting: 2 };
const told = {
  vllm: { ...load, capacityTokens: 1600, residentTokens: 400 },
  sglang: load,
  "llama-server": load,
  dynamo: { waiting: 2 },
};
const names = Object.keys(pages) as readonly (keyof typeof pages)[];

it.each(names)("%s tells of its load by its metrics", async (name) => {
  await using server = await serve(pages[name]);
  const adapter = await createEngine(name, [server.url], {});
  expect(await adapter.status?.()).toEqual(told[name]);
  await adapter.close();
});

it.each(names)("%s without metrics tells nothing, and is not down", async (name) => {
  await using server = await serve(undefined);
  const adapter = await createEngine(name, [server.url], {});
  expect(await adapter.status?.()).toEqual({});
  await adapter.close();
});

it.each(names)("%s whose page of metrics is something else tells nothing, and is not down", async (name) => {
  await using server = await serve('{"error":{"message":"no such page","code":404}}');
  const adapter = await createEngine(name, [server.url], {});
  expect(await adapter.status?.()).toEqual({});
  await adapter.close();
});

it.each([
  [501, "up"],
  [503, "down"],
])("a server that answers %i to the question is %s", async (status, word) => {
  await using server = await serve(undefined, status);
  const adapter = await createEngine("llama-server", [server.url], {});
  const answer = await adapter.status?.().catch((error: unknown) => error);
  expect(answer instanceof Error ? "down" : "up").toBe(word);
  await adapter.close();
});

it.each(names)("%s that does not answer is down", async (name) => {
  const { url } = await serve(undefined).then(async (server) => {
    await server[Symbol.asyncDispose]();
    return server;
  });
  const adapter = await createEngine(name, [url], {});
  await expect(adapter.status?.()).rejects.toMatchObject({ code: "ENGINE_UNREACHABLE" });
  await adapter.close();
});

const rank = (engine: string, used: number) =>
  `vllm:kv_cache_usage_perc{engine="${engine}"} ${used}\n` +
  `vllm:cache_config_info{block_size="16",engine="${engine}",num_gpu_blocks="100"} 1\n`;

it("sums up what the ranks of a vLLM server hold", async () => {
  await using server = await serve(rank("0", 0.5) + rank("1", 0.25));
  const adapter = await createEngine("vllm", [server.url], {});
  expect(await adapter.status?.()).toEqual({ capacityTokens: 3200, residentTokens: 1200 });
  await adapter.close();
});
