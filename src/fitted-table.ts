import Table from "cli-table3";

export interface TableStyle {
  /** By column. Default: all to the left. */
  readonly aligns?: readonly ("left" | "right")[];
  /** No lines between rows. Default: false. */
  readonly compact?: boolean;
}

/** Columns that a terminal has where it does not tell. */
const USUAL = 80;
/** Of a cell: its two spaces and one line. */
const FRAME = 3;

/**
 * A table that fits the terminal: the widest columns are wrapped, down to their longest word. Where there is no terminal,
 * as in a pipe, every cell is one line.
 *
 * @param columns width of the terminal in characters; undefined: there is none.
 */
export function fittedTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  columns: number | undefined,
  { aligns = [], compact = false }: TableStyle = {},
): string {
  const cellsOf = (column: number) => [head, ...rows].map((row) => row[column] ?? "");
  const widths = head.map((_, column) => longest(cellsOf(column)));
  const least = head.map((_, column) => longest(cellsOf(column).flatMap((cell) => cell.split(" "))));
  let excess =
    columns === undefined ? 0 : widths.reduce((sum, width) => sum + width + FRAME, 1) - (columns || USUAL);
  for (; excess > 0; excess--) {
    const room = widths.map((width, column) => (width > (least[column] ?? 0) ? width : 0));
    const widest = room.indexOf(Math.max(...room));
    if (room[widest] === 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  const table = new Table({
    head: [...head],
    style: { head: [], border: [], compact },
    colAligns: [...aligns],
    colWidths: widths.map((width) => width + FRAME - 1),
    wordWrap: true,
  });
  table.push(...rows.map((row) => [...row]));
  return table.toString();
}

function longest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map((text) => text.length));
}
