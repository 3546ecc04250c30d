import { z } from "zod";
import { EngineError } from "../../../src/errors.ts";
import { defineCommand } from "../../../src/cli/command.ts";

export default defineCommand({
  name: "fail",
  summary: "Fail in a chosen way.",
  description: "Fails.",
  example: "cachesage fail --how gate",
  options: z.strictObject({ how: z.enum(["engine", "bug", "gate"]).describe("What goes wrong.") }),
  run: async ({ how }) => {
    if (how === "gate") return 3;
    if (how === "bug") throw new TypeError("cannot read that");
    throw new EngineError("ENGINE_UNREACHABLE", "vllm", "nothing answers", { hint: "Start it first." });
  },
});
