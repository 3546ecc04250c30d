import { z } from "zod";

/** Option of adapters whose engine publishes KV events. */
export const kvEventOptions = z
  .array(
    z.strictObject({
      endpoint: z.string().regex(/^(tcp|ipc):\/\//, "expected an address such as tcp://127.0.0.1:5557"),
      replayEndpoint: z.string().optional(),
      topic: z.string().optional(),
      bind: z.boolean().optional(),
    }),
  )
  .default([])
  .describe(
    "ZeroMQ addresses of the engine's KV events, one for each publisher, several servers' in the order of their urls; read until close(); needs the peers zeromq and msgpackr",
  );
