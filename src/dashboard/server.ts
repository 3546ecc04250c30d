import type { AddressInfo, Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { createAdaptorServer } from "@hono/node-server";
import { Hono } from "hono";
import { secureHeaders } from "hono/secure-headers";
import { streamSSE } from "hono/streaming";
import { cannotListen } from "../errors.ts";
import { guard } from "./guard.ts";
import type { Observed } from "./observed.ts";
import type { DashboardOptions } from "./options.ts";
import { pageFile } from "./page-files.ts";
import { type Problem, shown } from "./views/shown.ts";

/** A dashboard that is being served. */
export interface Dashboard {
  /** Where to look at it, ending in a slash. */
  readonly url: string;
  /** Stops serving and observing. Idempotent. */
  close(): Promise<void>;
}

/** What is served, to whoever serves it. */
export interface ServedDashboard extends Dashboard {
  /** From now on it does not keep the process from ending, not even while a page is open. */
  unref(): void;
}

/** Pages that look on at once. */
const MAX_STREAMS = 32;

/** Serves the page. @param show what there is to show at the moment. Throws CacheSageError `INVALID_OPTIONS`. */
export async function serveDashboard(
  show: () => Observed | Problem,
  { host, port, allowedHosts, refreshMs }: DashboardOptions,
): Promise<ServedDashboard> {
  const closing = new AbortController();
  const app = createApp(show, { allowedHosts: [host, ...allowedHosts], refreshMs, signal: closing.signal });
  const server = createAdaptorServer({ fetch: app.fetch });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(cannotListen("dashboard", cause)));
    server.listen(port, host, resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${address.port}/`,
    unref() {
      server.unref();
      server.on("connection", (socket: Socket) => void socket.unref());
    },
    close: () =>
      new Promise((resolve) => {
        closing.abort();
        server.close(() => resolve());
        if ("closeAllConnections" in server) server.closeAllConnections();
      }),
  };
}

function createApp(
  show: () => Observed | Problem,
  options: {
    readonly allowedHosts: readonly string[];
    readonly refreshMs: number;
    readonly signal: AbortSignal;
  },
): Hono {
  const app = new Hono();
  let streams = 0;
  app.use(guard(options.allowedHosts));
  app.use(
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", "data:"],
        connectSrc: ["'self'"],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'none'"],
      },
      strictTransportSecurity: false,
      xFrameOptions: "DENY",
    }),
  );
  app.get("/api/now", (context) => context.json(shown(show(), context.req.query())));
  app.get("/api/live", (context) => {
    if (streams >= MAX_STREAMS)
      return context.text("Too many pages are open: close one of them.\n", 503, { "Retry-After": "5" });
    const query = context.req.query();
    streams++;
    return streamSSE(context, async (stream) => {
      try {
        let sent = "";
        while (!stream.aborted && !stream.closed && !options.signal.aborted) {
          const data = JSON.stringify(shown(show(), query));
          // A page that reads slowly is waited for here, and gets what is true by then.
          if (data !== sent) await stream.writeSSE({ data });
          sent = data;
          await wait(options.refreshMs, undefined, { ref: false });
        }
      } finally {
        streams--;
      }
    });
  });
  app.get("*", async (context) => {
    const file = await pageFile(context.req.path);
    if (!file) return context.text("There is no such page.\n", 404);
    return context.body(file.body, 200, { "Content-Type": file.type, "Cache-Control": "no-cache" });
  });
  return app;
}
