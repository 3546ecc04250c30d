/** The state of a sequence in a file. */
export interface SavedState {
  readonly file: string;
  /** What the sequence held, from its first token on. */
  readonly tokens: readonly number[];
  readonly bytes: number;
}

/** A saved state that begins like some tokens. */
export interface SavedMatch {
  readonly state: SavedState;
  /** Tokens that both begin with; at least one. */
  readonly length: number;
}

/** Which states are saved, under a budget in bytes. It only decides; the files follow. */
export class SavedStates {
  readonly budget: number;
  /** Oldest use first. */
  readonly #states = new Set<SavedState>();
  #bytes = 0;

  constructor(budget: number) {
    this.budget = budget;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The state that shares the longest prefix with `tokens`; undefined: none begins with the same token. */
  longest(tokens: readonly number[]): SavedMatch | undefined {
    let match: SavedMatch | undefined;
    for (const state of this.#states) {
      const length = commonPrefix(state.tokens, tokens);
      if (length > (match?.length ?? 0)) match = { state, length };
    }
    return match;
  }

  /** Makes a state the last to go. */
  touch(state: SavedState): void {
    if (this.#states.delete(state)) this.#states.add(state);
  }

  /** Adds a state. Returns the ones that go for it: its prefixes, then the oldest uses; itself if it is over budget. */
  add(state: SavedState): readonly SavedState[] {
    if (state.bytes > this.budget) return [state];
    const gone = Array.from(this.#states).filter(
      ({ tokens }) => commonPrefix(tokens, state.tokens) === tokens.length,
    );
    for (const prefix of gone) this.delete(prefix);
    for (const oldest of this.#states) {
      if (this.#bytes + state.bytes <= this.budget) break;
      this.delete(oldest);
      gone.push(oldest);
    }
    this.#states.add(state);
    this.#bytes += state.bytes;
    return gone;
  }

  delete(state: SavedState): void {
    if (this.#states.delete(state)) this.#bytes -= state.bytes;
  }

  /** Forgets all states and returns them. */
  clear(): readonly SavedState[] {
    const gone = Array.from(this.#states);
    this.#states.clear();
    this.#bytes = 0;
    return gone;
  }
}

function commonPrefix(left: readonly number[], right: readonly number[]): number {
  const most = Math.min(left.length, right.length);
  let length = 0;
  while (length < most && left[length] === right[length]) length++;
  return length;
}
