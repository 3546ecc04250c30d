import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import type { ChatOpenAI } from "@langchain/openai";
import { describe, expect, test } from "vitest";
import type { Host } from "../../src/langgraph/host.ts";
import type { Fetch } from "../../src/langgraph/index.ts";
import { only, seenBy, startBench } from "./bench.ts";
import { drain } from "./drain.ts";
import { signal } from "./signal.ts";

const input = { messages: [{ role: "user" as const, content: "x" }] };

function oneNode(model: ChatOpenAI, options?: Parameters<ChatOpenAI["invoke"]>[1]) {
  return new StateGraph(MessagesAnnotation)
    .addNode("worker", async ({ messages }) => ({ messages: [await model.invoke(messages, options)] }))
    .addEdge(START, "worker")
    .compile();
}

test("the very arguments pass through when there is nothing to add", async () => {
  const seen: unknown[] = [];
  const base: Fetch = async (...given) => {
    seen.push(...given);
    return Response.json({});
  };
  await using bench = await startBench(undefined, { decorate: () => undefined });
  const { fetch } = bench.sage.model({ configuration: { fetch: base } }).configuration;
  const init = { method: "POST", body: "{}" };
  const node = bench.sage.wrapNode(async (_state: unknown, _config: unknown) =>
    fetch(`${bench.server.url}/other`, init),
  );
  const graph = new StateGraph(MessagesAnnotation)
    .addNode("n", async (state, config) => {
      await node(state, config);
      await fetch("http://elsewhere.invalid/v1/chat/completions", init);
      await fetch(`${bench.server.url}/models`);
      return {};
    })
    .addEdge(START, "n")
    .compile();
  await graph.invoke(input);
  expect(seen[1]).toBe(init);
  expect(seen[3]).toBe(init);
  expect(seen[4]).toBe(`${bench.server.url}/models`);
  expect(bench.server.requests).toEqual([]);
});

test("a request that goes elsewhere is neither decorated nor told", async () => {
  await using elsewhere = await startBench();
  await using bench = await startBench();
  const model = elsewhere.plainModel({ configuration: { fetch: bench.sage.fetch } });
  const graph = bench.sage.instrument(oneNode(model, { callbacks: [] }));
  await graph.invoke(input);
  await graph.invoke(input);
  expect(elsewhere.server.requests[0]?.body).not.toHaveProperty("seen_by");
  expect(only(bench.events, "request-start")).toEqual([]);
  expect(bench.warnings).toEqual([
    `a model call went to ${elsewhere.server.url}/chat/completions, which is not at the engine's address ${bench.server.url}: ` +
      "such calls get no hints. If it is the same server, connect to it by the address that the client uses",
  ]);
});

test("without hints nobody is told that a request goes elsewhere", async () => {
  await using elsewhere = await startBench();
  await using bench = await startBench(undefined, { cacheHints: false });
  const model = elsewhere.plainModel({ configuration: { fetch: bench.sage.fetch } });
  await bench.sage.instrument(oneNode(model)).invoke(input);
  expect(elsewhere.server.requests).toHaveLength(1);
  expect(bench.warnings).toEqual([]);
});

test("what the user set wins, as a field and as a header in any case", async () => {
  await using bench = await startBench(undefined, {
    decorate: () => ({
      fields: { priority: 1, model: "other", extra: { deep: true } },
      headers: { "X-Session": "ours", "x-more": "1", Authorization: "ours" },
    }),
  });
  const model = bench.model({ modelKwargs: { priority: 9 } });
  const graph = bench.sage.instrument(oneNode(model, { options: { headers: { "x-session": "theirs" } } }));
  await graph.invoke(input);
  const [request] = bench.server.requests;
  expect(request?.body).toMatchObject({ priority: 9, model: "scripted", extra: { deep: true } });
  expect(request?.headers).toMatchObject({
    "x-session": "theirs",
    "x-more": "1",
    authorization: "Bearer local",
  });
});

describe.each([400, 422])("when the server answers %s to a hint", (status) => {
  const refusing: (field: string) => Parameters<typeof startBench>[0] = (field) => (request) =>
    field in request.body ? { status } : { text: "ok" };

  test("the original is sent once more, and hints stop with one warning", async () => {
    let hints = 0;
    const bothHaveCome = signal<void>();
    await using bench = await startBench(({ body }) => {
      if (!("seen_by" in body)) return { text: "ok" };
      if (++hints === 2) bothHaveCome.resolve();
      return { status, after: bothHaveCome.promise };
    });
    const model = bench.model();
    const graph = bench.sage.instrument(oneNode(model));
    await Promise.all([graph.invoke(input), graph.invoke(input)]);
    await graph.invoke(input);
    expect(bench.warnings).toHaveLength(1);
    expect(bench.warnings[0]).toContain("seen_by");
    expect(bench.warnings[0]).toContain(String(status));
    const hinted = bench.server.requests.filter(({ body }) => "seen_by" in body);
    expect(hinted).toHaveLength(2);
    expect(bench.server.requests).toHaveLength(5);
    expect(only(bench.events, "request-end").map((event) => event.status)).toEqual([
      "completed",
      "completed",
      "completed",
    ]);
  });

  test("the same holds for streams, and other hints and endpoints stay on", async () => {
    let fields: Record<string, unknown> = { bad: 1 };
    await using bench = await startBench(refusing("bad"), { decorate: () => ({ fields }) });
    const graph = bench.sage.instrument(oneNode(bench.model()));
    await drain(await graph.stream(input, { streamMode: "messages" }));
    fields = { good: 1 };
    await graph.invoke(input);
    expect(bench.server.requests.map(({ body }) => ["bad" in body, "good" in body])).toEqual([
      [true, false],
      [false, false],
      [false, true],
    ]);
    fields = { bad: 1 };
    await bench.sage.instrument(oneNode(bench.model({ useResponsesApi: true }))).invoke(input);
    expect(bench.server.requests.at(-2)?.path).toBe("/v1/responses");
    expect(bench.server.requests.at(-2)?.body).toHaveProperty("bad");
    expect(bench.warnings).toHaveLength(2);
  });

  test.each([
    ["a field", "extra_forbidden: body.bad", ["good", "x-bad", "x-good"]],
    ["a header", "X-Bad is not allowed", ["bad", "good", "x-good"]],
    ["part of a name", "x-badly, good_one", []],
  ])("an answer that names %s switches off no more than that", async (_what, error, left) => {
    await using bench = await startBench(
      ({ body, headers }) => ("bad" in body && headers["x-bad"] ? { status, error } : { text: "ok" }),
      {
        decorate: () => ({
          fields: { bad: 1, good: 2 },
          headers: { "x-bad": "1", "x-good": "2" },
        }),
      },
    );
    const graph = bench.sage.instrument(oneNode(bench.model()));
    for (let i = 0; i < 3; i++) await graph.invoke(input);
    expect(bench.server.requests).toHaveLength(4);
    const { body, headers } = bench.server.requests.at(-1) ?? { body: {}, headers: {} };
    const names = Object.keys({ ...body, ...headers }).filter((name) => /bad|good/.test(name));
    expect(names.toSorted()).toEqual(left);
    expect(bench.warnings).toHaveLength(1);
  });

  test.each([
    [
      "whose text never ends",
      { start: (stream: ReadableStreamDefaultController) => stream.enqueue(Buffer.from("no")) },
      {},
    ],
    ["with a body of a client's own making", {}, { body: { value: {} } }],
  ])("a refusal %s is not waited for", async (_what, source, own) => {
    await using bench = await startBench();
    const fetch: Fetch = async (url, init) =>
      String(init?.body).includes("seen_by")
        ? Object.defineProperties(new Response(new ReadableStream(source), { status }), own)
        : globalThis.fetch(url, init);
    const graph = bench.sage.instrument(oneNode(bench.model({ configuration: { fetch } })));
    await graph.invoke(input);
    expect(only(bench.events, "request-end").map((event) => event.status)).toEqual(["completed"]);
    await expect.poll(() => bench.warnings).toHaveLength(1);
  });

  test("an error that is the user's own reaches the user, and hints stay on", async () => {
    await using bench = await startBench(() => ({ status }));
    const graph = bench.sage.instrument(oneNode(bench.model()));
    await expect(graph.invoke(input)).rejects.toMatchObject({ status });
    expect(bench.server.requests).toHaveLength(2);
    expect(bench.warnings).toEqual([]);
    bench.server.script = () => ({ text: "ok" });
    await graph.invoke(input);
    expect(seenBy(bench.server).at(-1)).toMatchObject({ agent: "worker" });
  });
});

const failure = (run: Promise<unknown>) =>
  run.then(
    () => undefined,
    (error: Error) => error,
  );

test.each([
  ["a timeout", () => ({ timeout: 30 })],
  ["an abort", (own: AbortSignal) => ({ signal: own })],
])("%s surfaces as it does without cachesage", async (_name, optionsWith) => {
  let controller = new AbortController();
  await using bench = await startBench(() => {
    controller.abort(new DOMException("It took too long.", "TimeoutError"));
    return { hang: true };
  });
  const options = () => {
    controller = new AbortController();
    return optionsWith(controller.signal);
  };
  const without = await failure(oneNode(bench.plainModel(), options()).invoke(input));
  const withIt = await failure(bench.sage.instrument(oneNode(bench.model(), options())).invoke(input));
  expect(without).toBeInstanceOf(Error);
  expect(withIt?.name).toBe(without?.name);
  expect(withIt?.message).toBe(without?.message);
  expect(bench.sage.handler.pending).toBe(0);
});

test.each([
  [[429], undefined],
  [[503, 503], 503],
  [[401], 401],
  [[404], 404],
])("statuses %j are tried again as often as without cachesage, hints or not", async (statuses, status) => {
  const played = await Promise.all(
    [undefined, false, true].map(async (cacheHints) => {
      await using bench = await startBench((_request, index) => ({ status: statuses[index] ?? 200 }), {
        ...(cacheHints !== undefined && { cacheHints }),
      });
      const model =
        cacheHints === undefined ? bench.plainModel({ maxRetries: 1 }) : bench.model({ maxRetries: 1 });
      const error = await failure(bench.sage.instrument(oneNode(model)).invoke(input));
      return { error, requests: bench.server.requests.length, pending: bench.sage.handler.pending };
    }),
  );
  const [without] = played;
  expect((without?.error as { readonly status?: number } | undefined)?.status).toBe(status);
  for (const { error, requests, pending } of played) {
    expect([error?.name, error?.message]).toEqual([without?.error?.name, without?.error?.message]);
    expect([requests, pending]).toEqual([without?.requests, 0]);
  }
});

test("a slow reader holds the server back, also when fetch reads along", async () => {
  const chunks = 512;
  for (const callbacks of [undefined, []]) {
    await using bench = await startBench(() => ({ flood: chunks }));
    const { configuration } = bench.sage.model();
    let response: Response | undefined;
    const graph = bench.sage.instrument(
      new StateGraph(MessagesAnnotation)
        .addNode("worker", async () => {
          response = await configuration.fetch(`${bench.server.url}/chat/completions`, {
            method: "POST",
            body: JSON.stringify({ stream: true, messages: [], callbacks }),
          });
          const reader = response.body?.getReader();
          await reader?.read();
          await new Promise((resolve) => setTimeout(resolve, 100));
          expect(bench.server.written).toBeLessThan(chunks * 64 * 1024 * 0.75);
          await reader?.cancel();
          return {};
        })
        .addEdge(START, "worker")
        .compile(),
    );
    await graph.invoke(input);
    expect(only(bench.events, "request-end")).toMatchObject([{ status: "cancelled" }]);
  }
});

test.each([
  ["/chat/completions", "[DONE]"],
  ["/responses", "response.completed"],
])("a consumer of %s that reads up to %s and no further has the whole answer", async (path, mark) => {
  await using bench = await startBench(() => ({ text: "a long answer", cached: 4 }));
  const graph = bench.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("worker", async () => {
        const body = JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content: "x" }] });
        const { body: stream } = await bench.sage.fetch(`${bench.server.url}${path}`, {
          method: "POST",
          body,
        });
        const reader = (stream as ReadableStream<Uint8Array>).getReader();
        for (
          let text = "";
          !text.includes(mark);
          text += Buffer.from((await reader.read()).value ?? []).toString()
        );
        await reader.cancel();
        return {};
      })
      .addEdge(START, "worker")
      .compile(),
  );
  await graph.invoke(input);
  expect(only(bench.events, "request-end").map((event) => event.status)).toEqual(["completed"]);
});

test("an answer read along is the same answer", async () => {
  await using bench = await startBench(() => ({ text: "grüße" }));
  const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "x" }] });
  const send = (fetch: Fetch) => fetch(`${bench.server.url}/chat/completions`, { method: "POST", body });
  const without = await send(globalThis.fetch);
  let withIt: Response | undefined;
  let text: string | undefined;
  const graph = bench.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("worker", async () => {
        withIt = await send(bench.sage.fetch);
        text = await withIt.text();
        return {};
      })
      .addEdge(START, "worker")
      .compile(),
  );
  await graph.invoke(input);
  expect(text).toBe(await without.text());
  expect(withIt).toMatchObject({ status: 200, url: without.url, ok: true });
  expect(withIt?.headers.get("content-type")).toBe(without.headers.get("content-type"));
});

test("a fetch of the user's own is called inside ours", async () => {
  const bodies: unknown[] = [];
  const own: Fetch = (url, init) => {
    bodies.push(JSON.parse(String(init?.body)));
    return globalThis.fetch(url, init);
  };
  await using bench = await startBench();
  await bench.sage.instrument(oneNode(bench.model({ configuration: { fetch: own } }))).invoke(input);
  expect(bodies).toMatchObject([{ seen_by: { agent: "worker" } }]);
});

test("the key of the host is used only when the user gave none", async () => {
  await using bench = await startBench();
  const { sage } = bench;
  expect(sage.model().apiKey).toBe("local");
  expect(sage.model({ apiKey: "mine" }).apiKey).toBe("mine");
  expect(sage.model({ openAIApiKey: "mine" })).not.toHaveProperty("apiKey");
  expect(sage.model({ configuration: { apiKey: "mine" } })).not.toHaveProperty("apiKey");
});

const nonsense: readonly unknown[] = [
  null,
  7,
  "text",
  { fields: 7 },
  { fields: [1, 2] },
  { fields: { n: 1n } },
  { fields: { undefinedField: undefined, functionField: () => {} } },
  { headers: { "bad name": "x", "x-ok": "bad\nvalue" } },
  (() => {
    const fields: Record<string, unknown> = {};
    fields["self"] = fields;
    return { fields };
  })(),
];

test.each(nonsense.map((value, index) => [index, value] as const))(
  "a decoration that makes no sense (%i) leaves the bytes alone",
  async (_index, value) => {
    await using bench = await startBench(undefined, { decorate: () => value } as unknown as Partial<Host>);
    await bench.plainModel().invoke(input.messages as never);
    await bench.sage.instrument(oneNode(bench.model())).invoke(input);
    const [without, withIt] = bench.server.requests;
    expect(withIt?.raw).toBe(without?.raw);
  },
);

test("the priority of a run reaches the adapter with each of its calls, and only one that makes sense", async () => {
  const seen: (number | undefined)[] = [];
  await using bench = await startBench(undefined, {
    decorate: ({ priority }) => {
      seen.push(priority);
      return {};
    },
  });
  const graph = bench.sage.instrument(oneNode(bench.model()));
  for (const priority of [0.9, 0, 7, undefined])
    await graph.invoke(input, { configurable: { ...(priority !== undefined && { priority }) } });
  await graph.invoke(input, { metadata: { priority: 0.3 } });
  expect(seen).toEqual([0.9, 0, undefined, undefined, 0.3]);
});
