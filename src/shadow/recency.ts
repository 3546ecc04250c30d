/** What a list of recent uses keeps in each of its entries; an entry is in one list at a time. */
export interface Listed {
  list: unknown;
  older: Listed | undefined;
  newer: Listed | undefined;
}

/** Entries in the order of their last use. Every operation takes constant time. */
export class Recency<Entry extends Listed> {
  #oldest: Entry | undefined;
  #newest: Entry | undefined;

  get oldest(): Entry | undefined {
    return this.#oldest;
  }

  /** Makes an entry the newest, whether it was in this list or in none. */
  use(entry: Entry): void {
    if (entry === this.#newest) return;
    this.remove(entry);
    entry.list = this;
    entry.older = this.#newest;
    if (this.#newest) this.#newest.newer = entry;
    else this.#oldest = entry;
    this.#newest = entry;
  }

  /** Takes an entry out; one of another list, or of none, stays as it is. */
  remove(entry: Entry): void {
    if (entry.list !== this) return;
    const older = entry.older as Entry | undefined;
    const newer = entry.newer as Entry | undefined;
    if (older) older.newer = newer;
    else this.#oldest = newer;
    if (newer) newer.older = older;
    else this.#newest = older;
    entry.list = entry.older = entry.newer = undefined;
  }
}
