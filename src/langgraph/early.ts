import type { Host } from "./host.ts";

/** A node that runs before it is known to be wanted, as what happens inside of it sees it. */
export interface Early {
  /** Aborts when nobody wants it any more. */
  readonly signal: AbortSignal;
  /**
   * Who is told of a model call in it. Its events are kept back until the node is wanted.
   *
   * @param isSeen callbacks see the call as well, and tell of it then.
   */
  hostOf(isSeen: boolean): Pick<Host, "clock" | "emit">;
  /** Does it once the node is wanted; never if it is not. */
  whenWanted(act: () => unknown): void;
}
