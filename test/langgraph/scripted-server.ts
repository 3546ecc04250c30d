import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A request as it came over the wire. */
export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly raw: string;
  readonly body: Body;
}

export interface Body {
  readonly model: string;
  readonly stream?: boolean;
  readonly messages?: readonly { readonly role: string; readonly content: unknown }[];
  readonly input?: unknown;
  readonly prompt?: unknown;
  readonly [field: string]: unknown;
}

interface ToolCall {
  readonly name: string;
  readonly arguments: object;
  readonly id?: string;
}

/** What the server does with one request. */
export interface Reply {
  readonly text?: string;
  readonly tool?: ToolCall;
  /** Several at once, in a chat completion. */
  readonly tools?: readonly ToolCall[];
  readonly status?: number;
  /** What an answer of that status says. */
  readonly error?: string;
  /** Milliseconds before it answers. */
  readonly afterMs?: number;
  /** What has to happen before it answers. */
  readonly after?: Promise<unknown>;
  /** Never answers. */
  readonly hang?: boolean;
  /** Cached prompt tokens to report; absent: the server does not say. */
  readonly cached?: number;
  /** Streams this many chunks of 64 KiB, as fast as they are read. */
  readonly flood?: number;
}

export type Script = (request: Received, index: number) => Reply;

/** An OpenAI-compatible server that follows a script and keeps what it was sent. */
export class ScriptedServer implements AsyncDisposable {
  readonly requests: Received[] = [];
  /** Requests that were neither answered nor given up by the client. */
  openRequests = 0;
  /** Bytes of flood written to sockets so far. */
  written = 0;
  script: Script;
  /** Never closes an idle connection: on a busy machine a client may be about to use it. */
  readonly #server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    const chunks: Buffer[] = [];
    this.openRequests++;
    response.on("close", () => void this.openRequests--);
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const raw = Buffer.concat(chunks).toString();
      const received = {
        path: request.url ?? "",
        headers: request.headers,
        raw,
        body: JSON.parse(raw) as Body,
      };
      this.requests.push(received);
      const reply = this.script(received, this.requests.length - 1);
      if (reply.after) void reply.after.then(() => this.#reply(received, reply, response));
      else if (reply.afterMs === undefined) this.#reply(received, reply, response);
      else setTimeout(() => this.#reply(received, reply, response), reply.afterMs);
    });
  });

  private constructor(script: Script) {
    this.script = script;
  }

  static async start(script: Script = () => ({ text: "ok" })): Promise<ScriptedServer> {
    const server = new ScriptedServer(script);
    server.#server.listen(0, "127.0.0.1");
    await once(server.#server, "listening");
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  #reply({ path, body }: Received, reply: Reply, response: ServerResponse): void {
    if (reply.hang) return;
    if (reply.flood !== undefined) return this.#flood(reply.flood, response);
    const status = reply.status ?? 200;
    if (status !== 200) {
      response.writeHead(status, { "content-type": "application/json", "retry-after": "0" });
      response.end(
        JSON.stringify({ error: { message: reply.error ?? `scripted ${status}`, type: "scripted" } }),
      );
      return;
    }
    const isResponses = path.endsWith("/responses");
    const events = isResponses ? responsesEvents(reply) : chatChunks(reply, path);
    if (body.stream) {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const event of events) response.write(`data: ${JSON.stringify(event)}\n\n`);
      response.end(isResponses ? "" : "data: [DONE]\n\n");
      return;
    }
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(isResponses ? responsesAnswer(reply) : chatAnswer(reply, path)));
  }

  #flood(chunks: number, response: ServerResponse): void {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const event = { choices: [{ index: 0, delta: { content: "x".repeat(64 * 1024) } }] };
    const line = `data: ${JSON.stringify(event)}\n\n`;
    let left = chunks;
    const write = () => {
      while (left-- > 0) {
        this.written += line.length;
        if (!response.write(line)) return void response.once("drain", write);
      }
      response.end("data: [DONE]\n\n");
    };
    write();
  }
}

function usage({ cached }: Reply) {
  const details = cached === undefined ? {} : { prompt_tokens_details: { cached_tokens: cached } };
  return { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13, ...details };
}

function toolCalls({ tool, tools = tool && [tool] }: Reply) {
  return tools?.map(({ name, arguments: given, id = `call_${name}` }, index) => ({
    index,
    id,
    type: "function",
    function: { name, arguments: JSON.stringify(given) },
  }));
}

function chatAnswer(reply: Reply, path: string) {
  const calls = toolCalls(reply);
  const finish_reason = calls ? "tool_calls" : "stop";
  const content = calls ? null : (reply.text ?? "");
  const choice = path.endsWith("/chat/completions")
    ? { message: { role: "assistant", content, ...(calls && { tool_calls: calls }) } }
    : { text: content };
  return {
    id: `answer${reply.tool?.id ?? ""}`,
    object: "chat.completion",
    model: "scripted",
    choices: [{ index: 0, finish_reason, ...choice }],
    usage: usage(reply),
  };
}

function chatChunk(choice: object) {
  return {
    id: "answer",
    object: "chat.completion.chunk",
    model: "scripted",
    choices: [{ index: 0, finish_reason: null, ...choice }],
  };
}

function chatChunks(reply: Reply, path: string): readonly object[] {
  const calls = toolCalls(reply);
  if (!path.endsWith("/chat/completions"))
    return [chatChunk({ text: reply.text ?? "" }), { choices: [], usage: usage(reply) }];
  const pieces = calls ? [{ tool_calls: calls }] : [...(reply.text ?? "")].map((content) => ({ content }));
  return [
    chatChunk({ delta: { role: "assistant", content: "" } }),
    ...pieces.map((delta) => chatChunk({ delta })),
    chatChunk({ delta: {}, finish_reason: calls ? "tool_calls" : "stop" }),
    { id: "answer", object: "chat.completion.chunk", model: "scripted", choices: [], usage: usage(reply) },
  ];
}

function responsesAnswer(reply: Reply) {
  const { cached, tool, text = "" } = reply;
  const output = tool
    ? {
        type: "function_call",
        id: "fc_1",
        call_id: `call_${tool.name}`,
        name: tool.name,
        arguments: JSON.stringify(tool.arguments),
        status: "completed",
      }
    : {
        type: "message",
        id: "msg_1",
        role: "assistant",
        status: "completed",
        content: [{ type: "output_text", text, annotations: [] }],
      };
  const details = cached === undefined ? {} : { input_tokens_details: { cached_tokens: cached } };
  return {
    id: "resp_1",
    object: "response",
    created_at: 0,
    model: "scripted",
    status: "completed",
    output: [output],
    usage: { input_tokens: 10, output_tokens: 3, total_tokens: 13, ...details },
  };
}

function responsesEvents(reply: Reply): readonly object[] {
  const answer = responsesAnswer(reply);
  const item = answer.output[0];
  const place = { output_index: 0, content_index: 0, item_id: "msg_1" };
  const deltas = [...(reply.text ?? "")].map((delta) => ({
    type: "response.output_text.delta",
    ...place,
    delta,
  }));
  return [
    { type: "response.created", response: { ...answer, output: [], status: "in_progress", usage: null } },
    { type: "response.output_item.added", output_index: 0, item },
    ...(reply.tool ? [] : deltas),
    { type: "response.output_item.done", output_index: 0, item },
    { type: "response.completed", response: answer },
  ];
}
