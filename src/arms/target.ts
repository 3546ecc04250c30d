import { type EmbeddedStats, startEmbeddedEngine } from "../embedded/index.ts";

/** What a table of arms shows of an engine's work; null where a running server does not tell. */
export interface TargetStats {
  readonly busyMs: number | null;
  readonly prefetch: EmbeddedStats["prefetch"] | null;
}

/** The engine that one arm plays on. */
export interface Target {
  readonly baseURL: string;
  readonly model: string;
  /** Headers of every call, the same in all arms. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Work since the arm began. */
  stats(): Promise<TargetStats>;
  close(): Promise<void>;
}

/** A fresh engine in this process. */
export async function startTarget(options: Parameters<typeof startEmbeddedEngine>[0]): Promise<Target> {
  const engine = await startEmbeddedEngine(options);
  return {
    baseURL: engine.baseURL,
    model: engine.model,
    stats: async () => engine.stats(),
    close: () => engine.close(),
  };
}
