/** A map that lets go of its oldest entry beyond a limit, so that what is never ended costs no memory. */
export class Newest<Key, Value> extends Map<Key, Value> {
  readonly #limit: number;
  readonly #onDrop: ((value: Value, key: Key) => void) | undefined;

  /** @param onDrop told what was let go of for want of room. */
  constructor(limit: number, onDrop?: (value: Value, key: Key) => void) {
    super();
    this.#limit = limit;
    this.#onDrop = onDrop;
  }

  override set(key: Key, value: Value): this {
    if (this.size >= this.#limit && !this.has(key)) {
      const [oldest] = this.entries();
      if (oldest) {
        this.delete(oldest[0]);
        this.#onDrop?.(oldest[1], oldest[0]);
      }
    }
    return super.set(key, value);
  }
}
