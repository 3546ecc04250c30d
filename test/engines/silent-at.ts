import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Answer, HealthyServer } from "../../src/testing/index.ts";

/** A server that never answers what is asked at `silentAt`, and tells when that is. */
export async function listening(
  answer: Answer,
  silentAt: string,
  onSilent: () => void,
): Promise<HealthyServer> {
  const server = createServer((incoming, response) => {
    const { method = "", url: path = "", headers } = incoming;
    if (path === silentAt) return onSilent();
    const body = answer({ method, path, headers, body: undefined });
    response.writeHead(body === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(body ?? {}));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
