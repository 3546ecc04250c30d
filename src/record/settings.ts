/** What `cachesage record` tells the processes that it records. */
export interface RecordSettings {
  /** Absolute path of the file that lines are appended to. */
  readonly file: string;
  /** Secret of this recording, in no file: without it, nobody can look up whether a known text is in a trace. */
  readonly key: string;
  /** Milliseconds since 1970: when the recording began. */
  readonly startedAt: number;
}

/** Environment variable that carries the settings to the application, and to the processes that it starts. */
export const RECORD_VARIABLE = "CACHESAGE_RECORD";

/** Reads the settings; undefined when there are none. */
export function readRecordSettings(text: string | undefined): RecordSettings | undefined {
  if (text === undefined) return undefined;
  const { file, key, startedAt } = JSON.parse(text) as Partial<RecordSettings>;
  if (typeof file !== "string" || typeof key !== "string" || typeof startedAt !== "number") return undefined;
  return { file, key, startedAt };
}
