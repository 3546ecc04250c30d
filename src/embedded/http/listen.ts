import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { Hono } from "hono";
import { cannotListen } from "../../errors.ts";

/** A listening server. */
export interface Listening {
  /** Without a trailing slash. */
  readonly url: string;
  /** Ends open connections as well. */
  close(): Promise<void>;
}

/** Milliseconds that answers under way have to reach their clients when the server closes. */
const lastAnswers = 500;

/** Serves an app. Throws CacheSageError `INVALID_OPTIONS` when the address cannot be listened on. */
export async function listen(app: Hono, host: string, port: number): Promise<Listening> {
  const server = createAdaptorServer({ fetch: app.fetch });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(cannotListen("embedded", cause)));
    server.listen(port, host, resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        // A connection that is kept alive is idle only after its answer is out.
        const closed = performance.now();
        const sweep = setInterval(() => {
          if (!("closeAllConnections" in server)) return;
          if (performance.now() - closed > lastAnswers) server.closeAllConnections();
          else server.closeIdleConnections();
        }, 10);
        server.close(() => {
          clearInterval(sweep);
          resolve();
        });
      }),
  };
}
