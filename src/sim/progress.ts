interface Terminal {
  stderr(text: string): void;
  readonly isTTY: boolean;
}

/**
 * Counts steps aloud: a line that rewrites itself on a terminal, elsewhere one plain line for each tenth of the whole.
 *
 * @param total steps there will be.
 * @returns to be called after each step, with its name.
 */
export function countSteps({ stderr, isTTY }: Terminal, total: number): (step: string) => void {
  let done = 0;
  return (step) => {
    const tenth = Math.floor((10 * done++) / total);
    if (isTTY) stderr(`\r\u001b[K${done}/${total} ${step}${done === total ? "\n" : ""}`);
    else if (Math.floor((10 * done) / total) > tenth) stderr(`${done}/${total} ${step}\n`);
  };
}
