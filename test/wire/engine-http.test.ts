import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { startTrialServer } from "../../src/testing/index.ts";
import { EngineHttp } from "../../src/wire/engine-http.ts";

async function listening(listener: RequestListener) {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return { url, [Symbol.asyncDispose]: close };
}

const asked = (url: string) => new EngineHttp({ engine: "vllm", url }).json("/v1/models");

test("a server that does not answer in time is told so, and an abort of the caller's own is its own reason", async () => {
  await using server = await startTrialServer("silent");
  const http = new EngineHttp({ engine: "vllm", url: server.url });
  await expect(http.json("/x", { withinMs: 20 })).rejects.toMatchObject({
    code: "ENGINE_UNREACHABLE",
    message: expect.stringMatching(/\/x gave no answer within 20 ms\n.+still loading its model\?$/),
  });
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(http.json("/x", { withinMs: 20, signal })).rejects.toThrow("enough");
});

test("a user's name in the url is told without its password", async () => {
  const said = await asked("http://me:secret@127.0.0.1:8000/v1").catch(String);
  expect(said).toMatch(/the url of 127\.0\.0\.1:8000 has a user's name in it.+\nTake it out/);
  expect(said).not.toContain("secret");
});

test("only what never answers has to be started: an odd port, a broken body and a broken answer are told as such", async () => {
  await expect(asked("http://127.0.0.1:6666")).rejects.toThrow(
    /6666\/v1\/models cannot be asked, got bad port\nCheck the url, its port/,
  );
  await using packed = await listening((_request, response) => {
    response.writeHead(200, { "content-encoding": "gzip" }).end("this is no gzip");
  });
  await expect(asked(packed.url)).rejects.toThrow(/cannot be asked, got Z_DATA_ERROR\nCheck/);
  await using cut = await listening((_request, response) => {
    response.writeHead(200, { "content-length": "100" }).write('{"data":');
    setTimeout(() => response.destroy(), 10);
  });
  await expect(asked(cut.url)).rejects.toThrow(/broke the connection off, got \w+\nSee the server's log\.$/);
  for (const status of [429, 503]) {
    await using busy = await listening((_request, response) => response.writeHead(status).end("busy"));
    await expect(asked(busy.url)).rejects.toThrow(
      new RegExp(`got status ${status}: busy\n.+try again later`),
    );
  }
});
