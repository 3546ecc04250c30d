/** The only source of time: monotonic milliseconds, sub-millisecond resolution where the host has it. */
export interface Clock {
  now(): number;
}
