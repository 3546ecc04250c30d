import type { Xorshift } from "./xorshift.ts";

const blockLength = 32;
const blockBytes = 2 + blockLength;

/**
 * A q8_0 matrix of `rows` x `columns` uniform weights with variance `variance`. Rows that `isZero` names are zero.
 * The integers of q8_0 are drawn directly, so nothing is lost to rounding and no float buffer is needed.
 */
export function randomMatrix(
  random: Xorshift,
  columns: number,
  rows: number,
  variance: number,
  isZero: (row: number) => boolean = () => false,
): Uint8Array {
  const blocksPerRow = columns / blockLength;
  const data = new Uint8Array(rows * blocksPerRow * blockBytes);
  const scale = halfFloat(Math.sqrt(3 * variance) / 127);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    const zero = isZero(row);
    for (let block = 0; block < blocksPerRow; block++) {
      data[at++] = scale & 0xff;
      data[at++] = scale >> 8;
      for (let index = 0; index < blockLength; index++) data[at++] = zero ? 0 : random.below(255) - 127;
    }
  }
  return data;
}

/** A vector of ones, as norms start out. */
export function ones(length: number): Uint8Array {
  const data = Buffer.alloc(length * 4);
  for (let index = 0; index < length; index++) data.writeFloatLE(1, index * 4);
  return data;
}

/** Bits of a positive half-precision float, truncated; `value` in [2^-14, 65504]. */
function halfFloat(value: number): number {
  const exponent = Math.floor(Math.log2(value));
  const mantissa = Math.floor((value / 2 ** exponent - 1) * 1024);
  return ((exponent + 15) << 10) | mantissa;
}
