import { type Hint, prefixId } from "../runtime/action.ts";

/**
 * Retain values as a `kv_hints` envelope, in the shape that vLLM has merged as transport and that executes nothing yet:
 * https://github.com/vllm-project/vllm/pull/53423
 */
export function retainEnvelope(decisions: readonly Hint[]): object {
  return {
    protocol_version: "1",
    message_id: decisions.map(({ prefix }) => prefixId(prefix)).join(" "),
    actions: decisions
      .filter((action) => action.type === "retain")
      .map(({ prefix, value, ttlMs }, index) => ({
        action_id: String(index),
        action_type: "kv.retain",
        action_version: "1",
        payload: { prefix: prefixId(prefix), value, ...(ttlMs !== undefined && { ttl_ms: ttlMs }) },
      })),
  };
}
