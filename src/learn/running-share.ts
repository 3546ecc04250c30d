/** A share that is learned from samples in [0, 1]: their mean, and from `window` samples on an exponential average. */
export class RunningShare {
  readonly #window: number;
  #samples = 0;
  #value: number;

  /** @param before its value before the first sample. */
  constructor(window: number, before = 0) {
    this.#window = window;
    this.#value = before;
  }

  get value(): number {
    return this.#value;
  }

  add(sample: number): void {
    this.#samples = Math.min(this.#window, this.#samples + 1);
    this.#value += (sample - this.#value) / this.#samples;
  }
}
