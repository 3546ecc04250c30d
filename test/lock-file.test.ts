import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

interface LockedPackage {
  readonly resolved?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}
const lock = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8")) as {
  readonly packages: Readonly<Record<string, LockedPackage>>;
};

/** The places where Node looks for a dependency of the package at this path, nearest first. */
function places(path: string, dependency: string): readonly string[] {
  const above = path.includes("/node_modules/") ? path.slice(0, path.lastIndexOf("/node_modules/")) : "";
  const here = [path, "node_modules", dependency].filter((part) => part !== "").join("/");
  return path === "" ? [here] : [here, ...places(above, dependency)];
}

it("locks the optional packages of every platform, without which npm ci refuses the lock file", () => {
  const missing = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (dependency) => !places(path, dependency).some((place) => place in lock.packages),
    ),
  );
  expect(missing).toEqual([]);
});

it("records no download address, so that any registry can serve it", () => {
  const addresses = Object.values(lock.packages).flatMap(({ resolved }) => resolved ?? []);
  expect(addresses).toEqual([]);
});
