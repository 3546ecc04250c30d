import type { Policy, PolicyDefinition, Subject } from "./policy.ts";

/** A policy ready to run: its definition and the instance made from it. */
export interface InstalledPolicy {
  readonly definition: PolicyDefinition<Subject>;
  readonly policy: Policy;
}

/** A policy that faults this often in a row is left out from then on. */
const MAX_FAULTS_IN_A_ROW = 20;
/** Hooks by which a policy knows what to judge by. */
const KNOWS_BY: ReadonlySet<string> = new Set(["observe", "score", "decided", "ended"]);

/** Counts what policies throw, and tells of it. */
export class PolicyFaults {
  readonly #onFault: (where: string, error: unknown) => void;
  readonly #inARow = new Map<InstalledPolicy, number>();
  /** Of policies that fail closed: the first thing that went wrong where they are told what to judge by. */
  readonly #missed = new Map<InstalledPolicy, string>();

  constructor(onFault: (where: string, error: unknown) => void) {
    this.#onFault = onFault;
  }

  /** One that fails closed never is: it goes on to deny. */
  isLeftOut(installed: InstalledPolicy): boolean {
    if (this.#inARow.size === 0 || installed.definition.onFault === "closed") return false;
    return (this.#inARow.get(installed) ?? 0) >= MAX_FAULTS_IN_A_ROW;
  }

  /** What a policy that fails closed has missed, if anything: what it would admit cannot be relied on any more. */
  missed(installed: InstalledPolicy): string | undefined {
    return this.#missed.size === 0 ? undefined : this.#missed.get(installed);
  }

  worked(installed: InstalledPolicy): void {
    if (this.#inARow.size > 0) this.#inARow.delete(installed);
  }

  note(installed: InstalledPolicy, hook: string, error: unknown): void {
    this.#inARow.set(installed, (this.#inARow.get(installed) ?? 0) + 1);
    if (installed.definition.onFault === "closed" && KNOWS_BY.has(hook) && !this.#missed.has(installed))
      this.#missed.set(installed, `${hook} threw ${error instanceof Error ? error.message : String(error)}`);
    this.#onFault(`policy ${installed.definition.name}.${hook}`, error);
  }
}

/** Whether a policy rates things of this kind. */
export function rates({ definition }: InstalledPolicy, kind: Subject): boolean {
  return [definition.subject].flat().includes(kind);
}
