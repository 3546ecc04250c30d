import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A request as a trial server got it. */
export interface TrialRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Parsed JSON; undefined when there was none. */
  readonly body: unknown;
}

/** How a server fails. */
export type Fault = "error 500" | "web page" | "wrong JSON" | "broken off" | "silent";

/** What a server answers: a text as it is, anything else as JSON, undefined for 404. */
export type Answer = (request: TrialRequest) => unknown;

/** A server on this machine for the time of one trial. */
export interface TrialServer extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly TrialRequest[];
  /** Connections open now. */
  connections(): number;
  close(): Promise<void>;
}

/** Starts a server that answers, or fails in one way. */
export async function startTrialServer(behaviour: Fault | Answer): Promise<TrialServer> {
  const requests: TrialRequest[] = [];
  const sockets = new Set<unknown>();
  const server = createServer(async (incoming, response) => {
    const request = await receive(incoming);
    requests.push(request);
    if (typeof behaviour === "function") answer(response, behaviour(request));
    else fail(response, behaviour);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = async (): Promise<void> => {
    if (!server.listening) return;
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    connections: () => sockets.size,
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function receive(incoming: IncomingMessage): Promise<TrialRequest> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Uint8Array);
  const text = Buffer.concat(chunks).toString();
  const { method = "", url: path = "", headers } = incoming;
  return { method, path, headers, body: text === "" ? undefined : parsed(text) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function answer(response: ServerResponse, body: unknown): void {
  const isText = typeof body === "string";
  const type = isText ? "text/plain" : "application/json";
  response.writeHead(body === undefined ? 404 : 200, { "content-type": type });
  response.end(isText ? body : JSON.stringify(body ?? { error: { message: "not found" } }));
}

function fail(response: ServerResponse, fault: Fault): void {
  if (fault === "silent") return;
  if (fault === "broken off") return void response.destroy();
  const isPage = fault === "web page";
  response.writeHead(fault === "error 500" ? 500 : 200, {
    "content-type": isPage ? "text/html" : "application/json",
  });
  response.end(isPage ? "<html><body>Welcome</body></html>" : '["nonsense", null, 7]');
}
