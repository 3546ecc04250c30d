import { z } from "zod";

/** One action of an envelope; its payload is checked by verb, so that a bad one spoils no other. */
const action = z.object({
  action_id: z.string(),
  action_type: z.string(),
  action_version: z.literal("1"),
  payload: z.unknown(),
});

/** Hints on the wire. */
export const hintEnvelope = z.object({
  protocol_version: z.literal("1"),
  message_id: z.string(),
  actions: z.array(action),
});

/** Hints on the wire, as they are sent. */
export type HintEnvelope = z.output<typeof hintEnvelope>;
export type HintAction = HintEnvelope["actions"][number];

/** What became of one action; `tokens` that were computed or dropped for it. */
export interface HintOutcome {
  readonly action_id: string;
  readonly status: "applied" | "ignored" | "rejected" | "failed" | "cancelled";
  readonly reason?: string;
  readonly tokens?: number;
}

/** What became of an envelope: one outcome for each action, in order. */
export interface HintReply {
  readonly message_id: string;
  readonly outcomes: readonly HintOutcome[];
}

const prefix = z.string().min(1);
const value = z.number().min(0).max(1);
/** `[milliseconds from now, value]`, in order; straight lines between them, the last one stays. */
const later = z
  .array(z.tuple([z.number().nonnegative(), value]))
  .max(64)
  .optional();
const ttl = z.number().positive().optional();

/** Payloads by verb. */
export const hintPayloads = {
  "kv.retain": z.object({
    prefix,
    value: value.optional(),
    later,
    /** The prompt's last tokens, where they are worth less than what stands before them; counts with `value` alone. */
    tail: z.object({ tokens: z.int().positive(), value, later }).optional(),
    ttl_ms: ttl,
    anchor: prefix.optional(),
    anchor_value: value.optional(),
    /** Messages after the system messages that belong to the anchor, from now on; default 0. */
    anchor_messages: z.int().min(0).optional(),
  }),
  "kv.release": z.object({ prefix }),
  "kv.evict": z.object({ prefix }),
  "kv.pin": z.object({ prefix, ttl_ms: ttl }),
  "kv.prefetch": z.object({ prefix, value, later, anchor: prefix.optional(), body: z.unknown() }),
  "kv.cancel": z.object({ prefix }),
} as const;

export type RetainPayload = z.output<(typeof hintPayloads)["kv.retain"]>;
export type PrefetchPayload = z.output<(typeof hintPayloads)["kv.prefetch"]>;
