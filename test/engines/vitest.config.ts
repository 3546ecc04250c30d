import { defineConfig, mergeConfig } from "vitest/config";
import all from "../vitest.config.ts";

/** The tests of engines alone, so that a name picks one of them: `npm run test:engine -- vllm`. */
export default mergeConfig(all, defineConfig({ test: { dir: "test/engines", include: ["**/*.test.ts"] } }));
