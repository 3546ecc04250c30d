import { once } from "node:events";
import { z } from "zod";
import { defineCommand } from "../../../src/cli/command.ts";

export default defineCommand({
  name: "wait",
  summary: "Wait for Ctrl-C.",
  description: "Waits until it is interrupted, then says so.",
  example: "cachesage wait",
  options: z.strictObject({}),
  run: async (_, io) => {
    if (!io.signal.aborted) await once(io.signal, "abort");
    io.stderr("cleaned up\n");
    return 0;
  },
});
