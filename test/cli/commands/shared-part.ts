/** A file of the folder without a default export is no command. */
export const answer = 42;
