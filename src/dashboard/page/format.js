const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const NONE = "–";

export const count = (value) =>
  value === null || value === undefined ? NONE : whole.format(Math.round(value));
export const compact = (value) => (value === null || value === undefined ? NONE : short.format(value));
export const percent = (share, digits = 1) =>
  share === null || share === undefined || Number.isNaN(share) ? NONE : `${(100 * share).toFixed(digits)} %`;
export const fixed = (value, digits = 2) =>
  value === null || value === undefined ? NONE : value.toFixed(digits);
export const micros = (value) =>
  value === null || value === undefined
    ? NONE
    : value < 999.5
      ? `${value.toFixed(value < 9.95 ? 1 : 0)} µs`
      : `${(value / 1000).toFixed(1)} ms`;

/** Milliseconds in the unit in which they are read best. */
export function duration(ms) {
  if (ms === null || ms === undefined) return NONE;
  if (ms > 0 && ms < 0.95) return `${ms.toFixed(1)} ms`;
  // Each unit ends where rounding would reach the next one.
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${seconds % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** @param at milliseconds since 1970. */
export const timeOfDay = (at) => clock.format(at);

const two = (value) => String(value).padStart(2, "0");

/** Time since the start, as on a clock. */
export function sinceStart(ms) {
  const seconds = Math.floor(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), seconds % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** An id that is too long to be read, shortened in its middle. */
export const shortId = (id) => (id && id.length > 18 ? `${id.slice(0, 8)}…${id.slice(-6)}` : (id ?? NONE));

/** When a prefix is used again, in steps of its run; null: no use is expected. */
export function nextUse(steps) {
  if (steps === null || steps > 100) return "not expected soon";
  return steps < 1.5 ? "next step" : `≈ ${fixed(steps, 1)} steps`;
}
