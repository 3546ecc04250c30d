import { once } from "node:events";
import { createServer, request as forward } from "node:http";
import { startEmbeddedEngine } from "../../dist/embedded/index.js";
import { CacheSage } from "../../dist/index.js";
import { drawFrom, withApp } from "./live-app.mjs";

/** Plays a load against several fresh engines, the last of them behind `front` if there is one. */
export async function withServers(policies, { servers = 2, front, ...engineOptions }, play) {
  const engines = await Promise.all(
    Array.from({ length: servers }, () =>
      startEmbeddedEngine({ model: "pico", threads: 1, sequences: 16, maxRunning: 8, ...engineOptions }),
    ),
  );
  const proxy = front && (await front(engines.at(-1).baseURL));
  const urls = engines.map(({ baseURL }) => baseURL);
  if (proxy) urls[servers - 1] = proxy.url;
  let loads = [];
  try {
    const played = await withApp(
      (options) => CacheSage.connect(urls, { engine: "embedded", ...options }),
      policies,
      async (app) => {
        await play(app);
        loads = engines.map((engine) => engine.stats().promptTokens);
      },
    );
    return { ...played, loads };
  } finally {
    proxy?.close();
    await Promise.all(engines.map((engine) => engine.close()));
  }
}

/** A server in front of an engine that lets one call in ten wait before it hands it on. */
export function stalling(seed, stallMs) {
  return async (target) => {
    const draw = drawFrom(seed);
    const server = createServer((incoming, outgoing) => {
      const isStalled = incoming.url.endsWith("/chat/completions") && draw(10) === 0;
      const hand = () => {
        const options = { method: incoming.method, headers: incoming.headers };
        const onward = forward(new URL(incoming.url, target), options, (answer) => {
          outgoing.writeHead(answer.statusCode, answer.headers);
          answer.pipe(outgoing);
        });
        onward.on("error", () => outgoing.destroy());
        outgoing.on("close", () => onward.destroy());
        incoming.pipe(onward);
      };
      if (!isStalled) return hand();
      const timer = setTimeout(hand, stallMs);
      outgoing.on("close", () => clearTimeout(timer));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return {
      url: `http://127.0.0.1:${server.address().port}/v1`,
      close: () => {
        server.closeAllConnections();
        server.close();
      },
    };
  };
}
