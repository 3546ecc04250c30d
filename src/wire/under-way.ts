/** A request whose end nobody saw for this long is taken to be over, in milliseconds. */
const LOST_AFTER_MS = 600_000;
/** Requests under way at once; of more, those that began first are taken to be over. */
const MOST = 10_000;

/** The app's requests under way, with what is noted of each. The end of some is never seen: they do not count for ever. */
export class UnderWay<Note> {
  readonly #requests = new Map<string, { readonly at: number; readonly note: Note }>();

  get size(): number {
    return this.#requests.size;
  }

  get(request: string): Note | undefined {
    return this.#requests.get(request)?.note;
  }

  /** @param at clock time in milliseconds. @returns the notes of those that are taken to be over by now. */
  begin(request: string, at: number, note: Note): readonly Note[] {
    const lost: Note[] = [];
    for (const [known, { at: since, note: own }] of this.#requests) {
      if (this.#requests.size < MOST && !(at - since > LOST_AFTER_MS)) break;
      this.#requests.delete(known);
      lost.push(own);
    }
    this.#requests.set(request, { at, note });
    return lost;
  }

  /** What was noted of it; undefined where it is not under way, or not any more. */
  end(request: string): Note | undefined {
    const note = this.get(request);
    this.#requests.delete(request);
    return note;
  }
}
