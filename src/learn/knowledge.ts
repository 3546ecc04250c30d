import { Agents } from "./agents.ts";
import { Anchors } from "./anchors.ts";
import { Branches } from "./branches.ts";
import { NextCallers } from "./next-callers.ts";
import { Pace } from "./pace.ts";
import { ReturnTimes } from "./return-times.ts";
import { BRANCH_SHARE, type LearnedState } from "./state.ts";
import { Survival } from "./survival.ts";
import { Threads } from "./threads.ts";

/** All that is learned from runs and outlives them. */
export class Knowledge {
  readonly agents = new Agents();
  readonly next: NextCallers;
  returns = new ReturnTimes();
  survival = new Survival();
  pace = new Pace();
  anchors = new Anchors();
  readonly branches = new Branches();
  readonly threads = new Threads();

  /** @param forgets old counts are let go when the workload changes. */
  constructor(forgets: boolean) {
    this.next = new NextCallers(this.agents, forgets);
  }

  /** @param room characters at most for return times of agents, and for all that is known of branches. */
  snapshot(room: number): LearnedState {
    const branches = this.branches.snapshot(room * BRANCH_SHARE);
    return {
      version: 5,
      agents: this.agents.snapshot(),
      transitions: this.next.snapshot(),
      returns: this.returns.snapshot(room - Object.values(branches ?? {}).join("").length),
      survival: this.survival.snapshot(),
      anchors: this.anchors.snapshot(),
      pace: this.pace.snapshot(),
      threads: this.threads.snapshot(),
      ...(branches && { branches }),
    };
  }

  /** What was counted since it was taken last, which is forgotten with that. */
  take(): LearnedState {
    const counted = this.snapshot(Number.POSITIVE_INFINITY);
    this.next.take();
    this.branches.take();
    this.threads.take();
    this.returns = new ReturnTimes();
    this.survival = new Survival();
    this.anchors = new Anchors();
    this.pace = new Pace();
    return counted;
  }

  /** Adds a snapshot's counts to what is known. */
  restore({ agents, transitions, returns, survival, anchors, pace, threads, branches }: LearnedState): void {
    const local = this.agents.restore(agents);
    this.next.restore(transitions, local);
    this.returns.restore(returns, local);
    this.survival.restore(survival, local);
    this.pace.restore(pace);
    this.threads.restore(threads);
    this.anchors.restore(anchors, local);
    if (branches) this.branches.restore(branches, local);
  }

  /** Who follows whom has changed. */
  fade(): void {
    this.returns.fade();
    this.branches.fade();
  }
}
