import { freePort } from "../../free-port.ts";
import { type RunningServer, skipped, startServer } from "./running-server.ts";
import { writeTinyModel } from "./tiny-model.ts";

const python = process.env["VLLM_PYTHON"];

/** Why no vLLM runs here; undefined where one does. */
export const noVllm =
  python === undefined
    ? skipped(
        "vllm",
        "VLLM_PYTHON names no Python that has it; test/engines/install-vllm.sh FOLDER installs one (6 GB)",
      )
    : undefined;

export interface VllmServer extends RunningServer {
  readonly eventsEndpoint: string;
  readonly replayEndpoint: string;
}

/** Starts vLLM on one CPU core, with a tiny model of made-up weights and a cache of 256 blocks of 32 tokens. */
export async function startVllm(): Promise<VllmServer> {
  const model = await writeTinyModel();
  const [port, events, replay] = [await freePort(), await freePort(), await freePort()];
  const eventsEndpoint = `tcp://127.0.0.1:${events}`;
  const replayEndpoint = `tcp://127.0.0.1:${replay}`;
  const flags =
    `--served-model-name tiny --load-format dummy --dtype float32 --max-model-len 4096 --host 127.0.0.1 --port ${port} ` +
    "--enforce-eager --block-size 32 --num-gpu-blocks-override 256 --max-num-seqs 8 --enable-prompt-tokens-details " +
    "--scheduling-policy priority --enable-auto-tool-choice --tool-call-parser hermes";
  const server = await startServer({
    program: python ?? "python3",
    words: [
      "-m",
      "vllm.entrypoints.openai.api_server",
      "--model",
      model,
      ...flags.split(" "),
      "--kv-events-config",
      JSON.stringify({
        enable_kv_cache_events: true,
        publisher: "zmq",
        endpoint: eventsEndpoint.replace("127.0.0.1", "*"),
        replay_endpoint: replayEndpoint.replace("127.0.0.1", "*"),
      }),
    ],
    url: `http://127.0.0.1:${port}`,
    readyPath: "/health",
    readyMs: 240_000,
    env: {
      VLLM_CPU_KVCACHE_SPACE: "1",
      VLLM_CPU_OMP_THREADS_BIND: "nobind",
      OMP_NUM_THREADS: "1",
      HF_HUB_OFFLINE: "1",
      VLLM_NO_USAGE_STATS: "1",
      DO_NOT_TRACK: "1",
    },
  });
  return { ...server, eventsEndpoint, replayEndpoint };
}
