import { attachEverywhere } from "../langgraph/everywhere.ts";
import { createObserver } from "../langgraph/observer.ts";
import { LineFile } from "./line-file.ts";
import { Recorder } from "./recorder.ts";
import { RECORD_VARIABLE, readRecordSettings, type RecordSettings } from "./settings.ts";

/*
 * `cachesage record` puts this file into the application with `node --import`. It runs before the application does, in
 * every Node.js process and worker of it, and none of them may notice.
 */
try {
  const settings = readRecordSettings(process.env[RECORD_VARIABLE]);
  if (settings) record(settings);
} catch (error) {
  warn("cannot record", error);
}

function record({ file, key, startedAt }: RecordSettings): void {
  let isComplete = true;
  const lines = new LineFile(file, (error) => warn("stopped recording", error));
  const recorder = new Recorder({
    key,
    // Processes of one recording share its start, and none of them a clock.
    clock: { now: () => performance.timeOrigin - startedAt + performance.now() },
    write: (text) => lines.append(text),
    later: (work) => void setImmediate(work).unref(),
    onFault: (error) => {
      if (isComplete) warn("may record less than there is", error);
      isComplete = false;
    },
  });
  // Not the name of the application's own handler, which LangChain would take for this one.
  attachEverywhere(createObserver(recorder.host, "cachesage-recorder").handler);
  process.on("exit", () => recorder.close());
}

function warn(what: string, error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error);
  process.emitWarning(`cachesage ${what}: ${reason}`, { type: "CacheSageWarning" });
}
