/** Goes round the entries of a map, whatever is added and deleted in the meantime. */
export class InTurn<Key, Value> {
  readonly #map: ReadonlyMap<Key, Value>;
  #entries: Iterator<[Key, Value]>;

  constructor(map: ReadonlyMap<Key, Value>) {
    this.#map = map;
    this.#entries = map.entries();
  }

  /** The next entry; undefined once a round, and of an empty map. */
  next(): readonly [Key, Value] | undefined {
    const next = this.#entries.next();
    if (!next.done) return next.value;
    this.#entries = this.#map.entries();
    return undefined;
  }
}
