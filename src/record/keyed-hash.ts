import { hash } from "node:crypto";

const DIGITS = 16;
/** 48 bits: exact as a number; in a million blocks the odds that two share an id are 1 in 600. */
const BLOCK_DIGITS = 12;

/**
 * Hashes with a secret key in front. Who has a trace but not the key cannot try texts against it, however short they are.
 * UTF-16, since a block may begin or end inside of a character.
 */
export function keyedHash(key: string, text: string): string {
  return hash("sha256", Buffer.from(`${key} ${text}`, "utf16le"), "hex").slice(0, DIGITS);
}

/** Id of a prompt's block, from the id of the one before it. */
export function blockId(key: string, before: number, own: string): number {
  return Number.parseInt(keyedHash(key, `${before} ${own}`).slice(0, BLOCK_DIGITS), 16);
}
