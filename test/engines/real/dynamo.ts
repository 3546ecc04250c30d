import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { freePort } from "../../free-port.ts";
import { launch, type RunningServer, skipped, startServer } from "./running-server.ts";
import { writeTinyModel } from "./tiny-model.ts";

const python = process.env["DYNAMO_PYTHON"];

/** Why no Dynamo runs here; undefined where one does. */
export const noDynamo =
  python === undefined
    ? skipped(
        "dynamo",
        "DYNAMO_PYTHON names no Python that has it; test/engines/install-dynamo.sh FOLDER installs one",
      )
    : undefined;

export interface DynamoServer extends RunningServer {
  /** KV event streams of the two workers. */
  readonly events: readonly { readonly endpoint: string; readonly replayEndpoint: string }[];
}

/** Starts Dynamo's frontend with the KV router, and two mocker workers of 512 blocks of 16 tokens. */
export async function startDynamo(): Promise<DynamoServer> {
  const model = await writeTinyModel();
  const folder = await mkdtemp(path.join(tmpdir(), "cachesage-dynamo-"));
  const env = { DYN_FILE_KV: folder, DYN_TCP_RPC_HOST: "127.0.0.1", HF_HUB_OFFLINE: "1" };
  const program = python ?? "python3";
  const planes = "--discovery-backend file --request-plane tcp --event-plane zmq".split(" ");
  const workers = await Promise.all(
    [0, 1].map(async () => {
      const [events, replay] = [await freePort(), await freePort()];
      const flags =
        `-m dynamo.mocker --model-path ${model} --model-name tiny --num-gpu-blocks-override 512 --block-size 16 ` +
        `--speedup-ratio 10 --zmq-kv-events-ports ${events} --zmq-replay-ports ${replay}`;
      const endpoint = `tcp://127.0.0.1:${events}`;
      const replayEndpoint = `tcp://127.0.0.1:${replay}`;
      return {
        endpoint,
        replayEndpoint,
        running: launch({ program, words: [...flags.split(" "), ...planes], env }),
      };
    }),
  );
  const stopWorkers = async (): Promise<void> => {
    await Promise.all(workers.map(({ running }) => running.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  const port = await freePort();
  const flags = `-m dynamo.frontend --router-mode kv --http-port ${port} --http-host 127.0.0.1 --router-session-affinity-ttl-secs 300`;
  try {
    const server = await startServer({
      program,
      words: [...flags.split(" "), ...planes],
      env,
      url: `http://127.0.0.1:${port}`,
      readyPath: "/v1/models/tiny/ready",
      readyMs: 90_000,
    });
    const stop = async (): Promise<void> => {
      await server.stop();
      await stopWorkers();
    };
    const events = workers.map(({ endpoint, replayEndpoint }) => ({ endpoint, replayEndpoint }));
    return { ...server, events, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    const logs = workers.map(({ running }) => running.log().slice(-1000)).join("\n");
    await stopWorkers();
    throw new Error(`${String(error)}\n${logs}`, { cause: error });
  }
}
