import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { afterEach, beforeEach, expect, it } from "vitest";
import { FileStore } from "../../src/stores/file.ts";
import { builtPackage, run } from "../record/build.ts";

const built = builtPackage();
let folder: string;
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), "cachesage-file-store-"))));
afterEach(() => rm(folder, { recursive: true, force: true }));

const one = (writer: string, sequence: number) => ({ writer, sequence, counts: new Map([["x", 1]]) });
const total = async () => (await new FileStore(folder).load())?.counts.get("x");

it("holds every count that it said it had, and each batch as a whole, whenever its process is killed", async () => {
  const app = fileURLToPath(new URL("apps/add-until-killed.mjs", import.meta.url));
  const entry = pathToFileURL(built.file("dist/stores/file.js")).href;
  const random = xoroshiro128plus(1);
  const found: number[] = [];
  let said = 0;
  for (let kill = 0; kill < 20; kill++) {
    const after = uniformInt(random, 1, 4);
    const delay = uniformInt(random, 0, 20);
    let killing: NodeJS.Timeout | undefined;
    const { stdout, stderr } = await run([app, entry, folder], (text, send) => {
      if (text.length >= after) killing ??= setTimeout(() => send("SIGKILL"), delay);
    });
    expect(stderr).toBe("");
    const counts = (await new FileStore(folder).load())?.counts;
    const totals = new Set(counts?.values());
    expect(totals.size).toBe(1);
    const [now = 0] = totals;
    const before = said;
    said = now;
    expect(now - before - stdout.length).toBeOneOf([0, 1]);
    found.push(now);
  }
  expect(found.toSorted((a, b) => a - b)).toEqual(found);
});

it("loses nothing when many write at once", async () => {
  await Promise.all(
    Array.from({ length: 8 }, async (_, writer) => {
      const store = new FileStore(folder);
      for (let sequence = 1; sequence <= 5; sequence++) await store.add(one(`w${writer}`, sequence));
    }),
  );
  expect(await total()).toBe(40);
});

it("falls back to the version before when the disk has lost the newest, and goes on from there", async () => {
  const store = new FileStore(folder);
  for (let sequence = 1; sequence <= 3; sequence++) await store.add(one("w", sequence));
  await writeFile(join(folder, "default+default+3.json"), '{"format":1,"epoch":"');
  expect(await total()).toBe(2);
  await store.add(one("w", 3));
  expect(await total()).toBe(3);
  expect(await readdir(folder)).toContain("default+default+4.json");
});

it("says what to do when no version can be read, and leaves the files alone", async () => {
  await writeFile(join(folder, "default+default+1.json"), "not ours");
  await expect(new FileStore(folder).add(one("w", 1))).rejects.toMatchObject({
    code: "STORE",
    message: expect.stringContaining(folder),
    hint: expect.stringContaining("Restore the folder"),
  });
  expect(await readdir(folder)).toEqual(["default+default+1.json"]);
});

it("keeps two versions, and removes drafts that a killed process left behind", async () => {
  const draft = join(folder, "default+default+left-behind.draft");
  await writeFile(draft, "{");
  const longAgo = new Date(Date.now() - 120_000);
  await utimes(draft, longAgo, longAgo);
  const store = new FileStore(folder);
  for (let sequence = 1; sequence <= 4; sequence++) await store.add(one("w", sequence));
  expect((await readdir(folder)).toSorted()).toEqual(["default+default+3.json", "default+default+4.json"]);
});

it("does not go on from an older version where a newer cachesage has written, and says so", async () => {
  const store = new FileStore(folder);
  await store.add(one("w", 1));
  const newer = { format: 2, epoch: "e", changes: 9, writers: [], counts: [["x", 100]] };
  await writeFile(join(folder, "default+default+2.json"), JSON.stringify(newer));
  const told = { code: "STORE", message: expect.stringContaining("newer cachesage, got format 2, know 1") };
  await expect(store.load()).rejects.toMatchObject(told);
  await expect(store.add(one("w", 2))).rejects.toMatchObject(told);
  expect(await readdir(folder)).toEqual(["default+default+1.json", "default+default+2.json"]);
});

it("forgets what cannot be read", async () => {
  await writeFile(join(folder, "default+default+7.json"), "not ours");
  const store = new FileStore(folder);
  await store.reset();
  await store.add(one("w", 1));
  expect(await total()).toBe(1);
});

it("forgets what was before, whoever adds meanwhile", async () => {
  for (let round = 0; round < 10; round++) {
    const store = new FileStore(folder);
    await store.add({ writer: `old${round}`, sequence: 1, counts: new Map([["old", 1]]) });
    const adds = Array.from({ length: 4 }, (_, i) => new FileStore(folder).add(one(`${round}/${i}`, 1)));
    await Promise.all([...adds, store.reset()]);
    expect((await store.load())?.counts.has("old")).toBe(false);
  }
});

it("tells in words what the file system complains of", async () => {
  const place = join(folder, "a-file");
  await writeFile(place, "");
  const store = new FileStore(place);
  const told = {
    code: "STORE",
    message: expect.stringContaining(place),
    hint: expect.stringContaining("may write to"),
  };
  await expect(store.add(one("w", 1))).rejects.toMatchObject(told);
  await expect(store.load()).rejects.toMatchObject(told);
  await expect(store.put("name", "text")).rejects.toMatchObject(told);
  await expect(store.get("name")).rejects.toMatchObject(told);
  await expect(store.reset()).rejects.toMatchObject(told);
  expect(() => new FileStore("")).toThrow(expect.objectContaining({ code: "INVALID_OPTIONS" }));
});
