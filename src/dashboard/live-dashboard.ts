import { CacheSageError } from "../errors.ts";
import type { Event } from "../runtime/event.ts";
import type { DashboardOptionsInput } from "./options.ts";
import type { Dashboard } from "./server.ts";
import type { DashboardSource, Watcher } from "./source.ts";

/** The dashboard that an app may open: it is loaded when it is, and costs nothing before. */
export class LiveDashboard {
  readonly #source: () => Omit<DashboardSource, "watch">;
  readonly #watchers = new Set<Watcher>();
  #open: Promise<Dashboard> | undefined;
  #isOver = false;

  /** @param source what it shows, asked for when it opens. */
  constructor(source: () => Omit<DashboardSource, "watch">) {
    this.#source = source;
  }

  /** Whether anybody is to be told. */
  get isOpen(): boolean {
    return this.#watchers.size > 0;
  }

  /** To be told after the predictor and the policies were. */
  event(event: Event): void {
    for (const watcher of this.#watchers) watcher.event(event);
  }

  fault(where: string, error: unknown): void {
    for (const watcher of this.#watchers) watcher.fault(where, error);
  }

  /** Opens it; while it is open, the same one is returned. Rejects with CacheSageError after `close`. */
  async open(options?: DashboardOptionsInput): Promise<Dashboard> {
    if (this.#isOver)
      throw new CacheSageError(
        "INVALID_OPTIONS",
        "[dashboard] cachesage is closed: there is nothing to show",
        {
          hint: "Open the dashboard before close().",
        },
      );
    return (this.#open ??= this.#start(options, () => (this.#open = undefined)));
  }

  /** Closes it, and opens no other one. */
  async close(): Promise<void> {
    this.#isOver = true;
    const open = await this.#open?.catch(() => undefined);
    await open?.close();
  }

  /** @param onEnd called once, when it is closed or could not be opened: by then another one may be open. */
  async #start(options: DashboardOptionsInput | undefined, onEnd: () => void): Promise<Dashboard> {
    try {
      const { startDashboard } = await import("./start.ts");
      const watch = (watcher: Watcher) => {
        this.#watchers.add(watcher);
        return () => void this.#watchers.delete(watcher);
      };
      const dashboard = await startDashboard({ ...this.#source(), watch }, options);
      let closing: Promise<void> | undefined;
      const close = () => {
        if (!closing) onEnd();
        return (closing ??= dashboard.close());
      };
      return { url: dashboard.url, close };
    } catch (error) {
      onEnd();
      throw error;
    }
  }
}
