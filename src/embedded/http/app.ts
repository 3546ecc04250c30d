import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { blockTokens } from "../cache/block.ts";
import { checkModel } from "../chat/completion.ts";
import type { EngineCore } from "../core.ts";
import { applyHints } from "../hints/apply-hints.ts";
import { hintEnvelope } from "../hints/envelope.ts";
import { chatRoute } from "./chat-route.ts";
import { errorBody, HttpError, readBody } from "./http-error.ts";

/** The engine's HTTP interface: OpenAI's chat completions, hints, models, health and metrics. */
export function createApp(core: EngineCore): Hono {
  const { id, options } = core;
  const app = new Hono();
  app.use(
    bodyLimit({
      maxSize: options.bodyLimitBytes,
      onError: (context) =>
        context.json(
          errorBody(413, "body_too_large", `The body is larger than ${options.bodyLimitBytes} bytes.`),
          413,
        ),
    }),
  );
  app.post("/v1/chat/completions", (context) => chatRoute(core, context));
  app.post("/v1/kv_hints", async (context) => {
    const envelope = await readBody(context.req, hintEnvelope);
    const target = { ...core, pool: core.cache.pool, contextTokens: options.contextTokens };
    const reply = await applyHints(target, envelope, context.req.raw.signal);
    core.metrics.observeHints(envelope, reply);
    return context.json(reply);
  });
  const model = {
    id,
    object: "model",
    created: 0,
    owned_by: "cachesage",
    max_model_len: options.contextTokens,
    description: core.description,
  };
  app.get("/v1/models", (context) => context.json({ object: "list", data: [model] }));
  app.get("/v1/models/:id", (context) => {
    checkModel(id, context.req.param("id"));
    return context.json(model);
  });
  app.get("/health", (context) =>
    context.json({
      status: "ok",
      engine: "embedded",
      model: id,
      kv_hints: "1",
      block_tokens: blockTokens,
      scheduling_policy: options.schedulingPolicy,
    }),
  );
  app.get("/metrics", async (context) =>
    context.text(await core.metrics.text(), 200, { "Content-Type": core.metrics.contentType }),
  );
  const routes = app.routes.filter(({ method }) => method !== "ALL");
  const known = [...new Set(routes.map(({ method, path }) => `${method} ${path}`))].join(", ");
  app.notFound((context) => {
    const { method, path } = context.req;
    const message = `${method} ${path} does not exist. There are ${known}.`;
    const allowed = routes.filter((route) => route.path === path).map((route) => route.method);
    if (allowed.length === 0) return context.json(errorBody(404, "not_found", message), 404);
    context.header("Allow", allowed.join(", "));
    return context.json(errorBody(405, "method_not_allowed", message), 405);
  });
  app.onError((error, context) => {
    const { status, code, param } =
      error instanceof HttpError ? error : ({ status: 500, code: "internal_error", param: null } as const);
    return context.json(errorBody(status, code, error.message, param), status);
  });
  return app;
}
