import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ensureModelFile } from "../../src/embedded/model/model-file.ts";
import { presets, vocabularySize } from "../../src/embedded/model/presets.ts";
import { trainVocabulary } from "../../src/embedded/model/vocabulary.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "cachesage-model-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function sha256(file: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(file))
    .digest("hex");
}

test("the same shape and seed give the same bytes, another seed gives others", async () => {
  const first = await ensureModelFile(presets.nano, 1, path.join(folder, "a"));
  const second = await ensureModelFile(presets.nano, 1, path.join(folder, "b"));
  const other = await ensureModelFile(presets.nano, 2, folder);
  expect(await sha256(second)).toBe(await sha256(first));
  expect(await sha256(other)).not.toBe(await sha256(first));
  expect((await readFile(first)).subarray(0, 4).toString()).toBe("GGUF");
});

test("writers that start together do not spoil each other's file, and it is not written again", async () => {
  const files = await Promise.all([1, 2].map(() => ensureModelFile(presets.nano, 1, folder)));
  const file = files[0] as string;
  const { mtimeMs, size } = await stat(file);
  expect(size).toBeGreaterThan(8_000_000);
  await ensureModelFile(presets.nano, 1, folder);
  expect((await stat(file)).mtimeMs).toBe(mtimeMs);
  expect(await readdir(folder)).toEqual([path.basename(file)]);
});

test("a folder that cannot be written is an error that says what to do", async () => {
  const file = path.join(folder, "file");
  await writeFile(file, "");
  await expect(ensureModelFile(presets.nano, 1, path.join(file, "sub"))).rejects.toMatchObject({
    code: "EMBEDDED_MODEL",
    hint: expect.stringContaining("cacheDirectory"),
  });
});

test("the vocabulary covers every byte once and keeps its control tokens apart", () => {
  const { tokens, types, merges } = trainVocabulary();
  expect(new Set(tokens).size).toBe(vocabularySize);
  expect(types.filter((type) => type === 3)).toHaveLength(6);
  expect(merges).toHaveLength(vocabularySize - 256 - 6);
});
