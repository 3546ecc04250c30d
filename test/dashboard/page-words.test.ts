import { expect, test } from "vitest";

interface Format {
  duration(ms: number | null): string;
  micros(us: number): string;
}
const { duration, micros } = (await import(
  new URL("../../src/dashboard/page/format.js", import.meta.url).href
)) as Format;

test.each([
  [0, "0 ms"],
  [0.3, "0.3 ms"],
  [0.97, "1 ms"],
  [999.4, "999 ms"],
  [999.6, "1.0 s"],
  [59_949, "59.9 s"],
  [59_960, "1 min 0 s"],
  [119_700, "2 min 0 s"],
  [3_599_600, "1 h 0 min"],
  [7_380_000, "2 h 3 min"],
])("%d ms are told as %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});

test.each([
  [9.97, "10 µs"],
  [999.7, "1.0 ms"],
])("%d µs are told as %s", (us, text) => {
  expect(micros(us)).toBe(text);
});
