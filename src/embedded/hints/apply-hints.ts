import { setMaxListeners } from "node:events";
import { z } from "zod";
import type { Outcome } from "../../runtime/action.ts";
import type { BlockPool } from "../cache/block-pool.ts";
import type { ChatTemplate } from "../chat/chat.ts";
import { promptBody, toChat } from "../chat/chat-request.ts";
import type { Scheduler } from "../scheduler.ts";
import {
  type HintAction,
  type HintEnvelope,
  hintPayloads,
  type HintReply,
  type PrefetchPayload,
  type RetainPayload,
} from "./envelope.ts";

/** What hints act on. */
export interface HintTarget {
  readonly pool: BlockPool;
  readonly scheduler: Scheduler;
  readonly template: ChatTemplate;
  /** Longest prompt in tokens. */
  readonly contextTokens: number;
}

/** What a chat request says it is. */
export interface RequestIdentity {
  readonly prefix?: string;
  readonly anchor?: string;
  /** Messages after the system messages that the anchor takes in. */
  readonly anchorMessages?: number;
}

const rejected = (reason: string): Outcome => ({ status: "rejected", reason });

/** Carries out an envelope. Resolves when its prefetches have ended too; aborting cancels them. */
export async function applyHints(
  target: HintTarget,
  envelope: HintEnvelope,
  signal?: AbortSignal,
): Promise<HintReply> {
  // One of these signals ends every prefetch of its envelope; more than ten of them are no leak.
  if (signal !== undefined) setMaxListeners(0, signal);
  const outcomes = await Promise.all(
    envelope.actions.map(async (action) => ({
      action_id: action.action_id,
      ...(await applyHint(target, action, signal)),
    })),
  );
  target.scheduler.wake();
  return { message_id: envelope.message_id, outcomes };
}

/** Who a chat request is, according to the first retain among its hints. */
export function requestIdentity(envelope: HintEnvelope | null | undefined): RequestIdentity {
  const named = envelope?.actions.find(({ action_type }) => action_type === "kv.retain");
  const payload = hintPayloads["kv.retain"].safeParse(named?.payload);
  if (!payload.success) return {};
  const { prefix, anchor, anchor_messages: anchorMessages = 0 } = payload.data;
  return { prefix, ...(anchor !== undefined && { anchor, anchorMessages }) };
}

async function applyHint(target: HintTarget, action: HintAction, signal?: AbortSignal): Promise<Outcome> {
  const { pool, scheduler } = target;
  switch (action.action_type) {
    case "kv.retain":
      return withPayload("kv.retain", action, (payload) => retain(pool, payload));
    case "kv.release":
      return withPayload("kv.release", action, ({ prefix }) => {
        if (pool.owners.find(prefix) === undefined) return { status: "ignored", reason: "unknown prefix" };
        return { status: "applied", tokens: pool.release(prefix) };
      });
    case "kv.evict":
      return withPayload("kv.evict", action, ({ prefix }) => {
        if (pool.owners.find(prefix) === undefined) return { status: "ignored", reason: "unknown prefix" };
        return { status: "applied", tokens: pool.evict(prefix) };
      });
    case "kv.pin":
      return withPayload("kv.pin", action, ({ prefix, ttl_ms }) => {
        const refusal = pool.pin(prefix, ttl_ms);
        return refusal === undefined ? { status: "applied" } : rejected(refusal);
      });
    case "kv.cancel":
      return withPayload("kv.cancel", action, ({ prefix }) =>
        scheduler.cancelPrefetch(prefix)
          ? { status: "applied" }
          : { status: "ignored", reason: "no prefetch of this prefix is queued or under way" },
      );
    case "kv.prefetch":
      return withPayload("kv.prefetch", action, (payload) => prefetch(target, payload, signal));
    default:
      return rejected(`unknown action_type ${JSON.stringify(action.action_type)}`);
  }
}

async function withPayload<Verb extends keyof typeof hintPayloads>(
  verb: Verb,
  action: HintAction,
  apply: (payload: z.output<(typeof hintPayloads)[Verb]>) => Outcome | Promise<Outcome>,
): Promise<Outcome> {
  const payload = hintPayloads[verb].safeParse(action.payload);
  if (!payload.success) return rejected(z.prettifyError(payload.error));
  return apply(payload.data as z.output<(typeof hintPayloads)[Verb]>);
}

function retain(pool: BlockPool, payload: RetainPayload): Outcome {
  const { prefix, value, later, tail, ttl_ms: ttl, anchor, anchor_value: anchorValue } = payload;
  if (value !== undefined) pool.owners.setValue(prefix, value, { later, tail, ttl });
  if (anchor !== undefined) pool.owners.ensure(anchor).messages = payload.anchor_messages ?? 0;
  if (anchor !== undefined && anchorValue !== undefined) pool.owners.setValue(anchor, anchorValue, { ttl });
  return { status: "applied" };
}

async function prefetch(
  target: HintTarget,
  payload: PrefetchPayload,
  signal?: AbortSignal,
): Promise<Outcome> {
  const body = promptBody.safeParse(payload.body);
  if (!body.success) return rejected(z.prettifyError(body.error));
  const { prefix, anchor, value, later } = payload;
  const anchorMessages = anchor === undefined ? 0 : target.pool.owners.find(anchor)?.messages;
  const { tokens, anchorLength } = target.template.render(toChat(body.data, anchorMessages), false);
  if (tokens.length >= target.contextTokens)
    return rejected(`the prompt has ${tokens.length} tokens, the context ${target.contextTokens}`);
  target.pool.owners.setValue(prefix, value, { later });
  return target.scheduler.prefetch({ prefix, anchor, tokens, anchorLength }, signal);
}
