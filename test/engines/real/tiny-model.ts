import { mkdir, rename, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { controlTokens, trainVocabulary } from "../../../src/embedded/model/vocabulary.ts";

const template =
  "{%- if tools -%}{{ '<|system|>' + tools|tojson + '<|end|>' }}{%- endif -%}" +
  "{%- for m in messages -%}{{ '<|' + m.role + '|>' + (m.content or '') }}" +
  "{%- for call in m.tool_calls or [] -%}{{ call|tojson }}{%- endfor -%}{{ '<|end|>' }}{%- endfor -%}" +
  "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}";

/**
 * Writes a model folder as Hugging Face has them, without weights: the vocabulary of the embedded engine's models, and
 * the shape of a very small llama, for servers that make weights up themselves or need none. Returns its path.
 */
export async function writeTinyModel(): Promise<string> {
  const folder = path.join(tmpdir(), "cachesage-tiny-model");
  await mkdir(folder, { recursive: true });
  const { tokens, merges } = trainVocabulary();
  const special = Object.values(controlTokens);
  const files = {
    "config.json": {
      architectures: ["LlamaForCausalLM"],
      model_type: "llama",
      hidden_size: 256,
      intermediate_size: 512,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 64,
      max_position_embeddings: 8192,
      vocab_size: tokens.length,
      rms_norm_eps: 1e-5,
      rope_theta: 10_000,
      hidden_act: "silu",
      torch_dtype: "float32",
      bos_token_id: tokens.indexOf(controlTokens.endOfText),
      eos_token_id: tokens.indexOf(controlTokens.endOfText),
      tie_word_embeddings: false,
    },
    "generation_config.json": { eos_token_id: tokens.indexOf(controlTokens.endOfText) },
    "tokenizer_config.json": {
      tokenizer_class: "PreTrainedTokenizerFast",
      eos_token: controlTokens.endOfText,
      pad_token: controlTokens.endOfText,
      model_max_length: 8192,
      chat_template: template,
    },
    "tokenizer.json": {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: special.map((content) => ({
        id: tokens.indexOf(content),
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: null,
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
      post_processor: null,
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges,
      },
    },
  };
  for (const [name, content] of Object.entries(files)) {
    // Another test's server may be reading what is there.
    const draft = path.join(folder, `${name}.${process.pid}`);
    await writeFile(draft, JSON.stringify(content));
    await rename(draft, path.join(folder, name));
  }
  return folder;
}
