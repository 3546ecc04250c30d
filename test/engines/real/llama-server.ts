import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { ensureModelFile } from "../../../src/embedded/model/model-file.ts";
import { presets } from "../../../src/embedded/model/presets.ts";
import { modelFolder } from "../../embedded/nano.ts";
import { freePort } from "../../free-port.ts";
import { findProgram, type RunningServer, skipped, startServer } from "./running-server.ts";

const program = findProgram("llama-server");

/** Why no llama-server runs here; undefined where one does. */
export const noLlamaServer =
  program === undefined
    ? skipped(
        "llama-server",
        "no such program on PATH; test/engines/install-llama-server.sh FOLDER unpacks one",
      )
    : undefined;

/** Starts llama-server with a random-weight model and four slots of 4,096 tokens, on one thread. */
export async function startLlamaServer({ savesSlots = true } = {}): Promise<RunningServer> {
  const model = await ensureModelFile(presets.nano, 1, modelFolder);
  const port = await freePort();
  const slots = await mkdtemp(path.join(tmpdir(), "cachesage-slots-"));
  const flags =
    `--host 127.0.0.1 --port ${port} --offline --no-ui -t 1 -c 16384 --parallel 4 --no-kv-unified -b 512 -ub 512 ` +
    `-fa on --slots --metrics --threads-http 16 --cache-ram 0${savesSlots ? ` --slot-save-path ${slots}` : ""}`;
  const server = await startServer({
    program: program ?? "llama-server",
    words: ["-m", model, "--alias", "nano", ...flags.split(" ")],
    url: `http://127.0.0.1:${port}`,
    readyPath: "/health",
  });
  const stop = async (): Promise<void> => {
    await server.stop();
    await rm(slots, { recursive: true, force: true });
  };
  return { ...server, stop, [Symbol.asyncDispose]: stop };
}
