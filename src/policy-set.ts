import { z } from "zod";
import { parseOptions } from "./options.ts";
import { registry } from "./registry.ts";
import { Gate } from "./runtime/gate.ts";
import { atOnce } from "./runtime/hook-result.ts";
import { type InstalledPolicy, PolicyFaults } from "./runtime/installed-policy.ts";
import type { Ledger } from "./runtime/ledger.ts";
import type { Worker } from "./runtime/engine.ts";
import type { PolicyContext, PolicyDefinition, Subject } from "./runtime/policy.ts";
import { WaitingRoom } from "./wire/waiting-room.ts";

/** The policies there are: the files of the folder. */
export const policies = registry<PolicyDefinition<Subject>>(
  "policy",
  new URL("./policies/", import.meta.url),
);

/** On unless they are switched off; every other policy is off unless it is named. */
export const DEFAULT_POLICIES: readonly string[] = ["prefix-cache"];

/** What `connect` takes as `policies`. */
export const policiesOption = z
  .record(
    z.string(),
    z.union([
      z.boolean(),
      z.custom<PolicyDefinition<Subject>>(isDefinition),
      z.record(z.string(), z.unknown()),
    ]),
  )
  .default({})
  .describe(
    `Per policy its options, true for the defaults, false to leave it out, or a definition of your own. ` +
      `On by default: ${DEFAULT_POLICIES.join(", ")}; every other policy only if it is named here.`,
  );

/** A definition with its options, checked. */
export interface ChosenPolicy {
  readonly definition: PolicyDefinition<Subject>;
  readonly options: unknown;
}

/**
 * The policies that are switched on, in the order of the arbiter: those of the folder by name, then the user's own.
 *
 * @throws UnknownNameError, InvalidOptionsError.
 */
export async function choosePolicies(
  chosen: z.output<typeof policiesOption>,
): Promise<readonly ChosenPolicy[]> {
  const names = await policies.names();
  const own: ChosenPolicy[] = [];
  for (const [name, value] of Object.entries(chosen)) {
    if (isDefinition(value))
      own.push({ definition: value, options: parseOptions(`policy ${name}`, value.options, {}) });
    else if (!names.includes(name)) await policies.load(name);
  }
  const wanted = names.filter((name) => {
    const value = chosen[name] ?? DEFAULT_POLICIES.includes(name);
    return value !== false && !isDefinition(value);
  });
  const shipped = wanted.map(async (name): Promise<ChosenPolicy> => {
    const definition = await policies.load(name);
    const given = typeof chosen[name] === "object" ? chosen[name] : {};
    return { definition, options: parseOptions(`policy ${name}`, definition.options, given) };
  });
  return [...(await Promise.all(shipped)), ...own];
}

/** Policies at work, and the gate where calls wait for them if any of them gives verdicts. */
export interface PolicySet {
  readonly installed: readonly InstalledPolicy[];
  readonly faults: PolicyFaults;
  readonly room: WaitingRoom | undefined;
  /** There is none but those that are on unless they are switched off. */
  readonly areDefault: boolean;
}

/** Makes the policies. What one throws when it is made is its owner's to know: nothing runs yet. */
export function installPolicies(
  chosen: readonly ChosenPolicy[],
  parts: {
    readonly context: Omit<PolicyContext<unknown>, "options">;
    readonly ledger: Ledger;
    readonly onFault: (where: string, error: unknown) => void;
    /** Milliseconds that a call may be held in all. */
    readonly budgetMs: number;
    readonly workers: () => readonly Worker[];
    readonly servesByPriority: () => boolean;
  },
): PolicySet {
  const { context, ledger, onFault, budgetMs, workers, servesByPriority } = parts;
  const { clock } = context;
  const installed = chosen.map(({ definition, options }): InstalledPolicy => ({
    definition,
    policy: definition.create({ ...context, options }),
  }));
  const faults = new PolicyFaults(onFault);
  const gate = new Gate({ clock, policies: installed, faults, ledger, budgetMs, workers, servesByPriority });
  return {
    installed,
    faults,
    room: gate.isOpen ? undefined : new WaitingRoom(gate, clock),
    areDefault: chosen.every(({ definition }) => DEFAULT_POLICIES.includes(definition.name)),
  };
}

/** Tells every policy that nothing is asked of it any more. */
export function closePolicies({ installed, faults, room }: PolicySet): void {
  room?.close();
  for (const one of installed) {
    try {
      atOnce(one.policy.close?.());
    } catch (error) {
      faults.note(one, "close", error);
    }
  }
}

function isDefinition(value: unknown): value is PolicyDefinition<Subject> {
  const { create, actions, options, name } = (value ?? {}) as Partial<PolicyDefinition<Subject>>;
  return (
    typeof create === "function" &&
    Array.isArray(actions) &&
    typeof name === "string" &&
    typeof options?.safeParse === "function"
  );
}
