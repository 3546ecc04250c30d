import { type BaseMessage, HumanMessage, SystemMessage } from "@langchain/core/messages";
import type { RecordedCall, Workload } from "../sim/workload.ts";
import type { BlockText } from "./block-text.ts";

/** A block of a prompt after all the blocks before it. */
interface Node {
  /** Number in the tree, by order of appearance: the id of this block in this place. */
  readonly id: number;
  readonly block: number;
  /** Of the anchor, the anchor's last, or of the history. */
  readonly place: Place;
  readonly parent: Node | undefined;
  readonly children: Map<number, Node>;
  /** A message ends here: prompts part, or one of them ends. */
  isEnd: boolean;
  /** The message that ends here. */
  message?: BaseMessage;
}

type Place = 0 | 1 | 2;
const ANCHOR = 0;
const ANCHOR_END = 1;
const HISTORY = 2;

/**
 * All prompts of a workload as one tree of blocks, cut into messages where prompts part or end. A message's boundaries are
 * control tokens of the preset models' template; its first and its last block give them room. So a prompt of n blocks has
 * n times the block's tokens and one that opens the answer, and prompts share as many tokens as they share blocks, with the
 * control token that opens the message after these.
 */
export class PromptTree {
  readonly #blockTokens: number;
  readonly #text: BlockText;
  readonly #roots = new Map<number, Node>();
  readonly #leaves = new Map<RecordedCall, Node>();
  #count = 0;

  /** @param blockTokens tokens of a block as it is played, at least 4. */
  constructor({ runs }: Workload, blockTokens: number, text: BlockText) {
    this.#blockTokens = blockTokens;
    this.#text = text;
    for (const { calls } of runs) for (const call of calls) this.#add(call);
  }

  /** Distinct blocks, told apart by all that stands before them. */
  get count(): number {
    return this.#count;
  }

  /** Ids of a prompt's blocks in this tree, in order. */
  ids(call: RecordedCall): Int32Array {
    return Int32Array.from(this.#path(call), ({ id }) => id);
  }

  /** A prompt's messages: the system message is the anchor. Messages that prompts share are the same objects. */
  messages(call: RecordedCall): BaseMessage[] {
    const messages: BaseMessage[] = [];
    let piece: Node[] = [];
    for (const node of this.#path(call)) {
      piece.push(node);
      if (!node.isEnd) continue;
      messages.push((node.message ??= this.#message(piece)));
      piece = [];
    }
    return messages;
  }

  #message(piece: readonly Node[]): BaseMessage {
    const text = piece
      .map(({ block }, index) => {
        const controls = (index === 0 ? 1 : 0) + (index === piece.length - 1 ? 1 : 0);
        return this.#text.words(block, this.#blockTokens - controls);
      })
      .join("");
    return piece[0]?.place === HISTORY ? new HumanMessage(text) : new SystemMessage(text);
  }

  #add(call: RecordedCall): void {
    const { blocks, anchorBlocks } = call;
    let parent: Node | undefined;
    for (const [index, block] of blocks.entries()) {
      const place = index >= anchorBlocks ? HISTORY : index === anchorBlocks - 1 ? ANCHOR_END : ANCHOR;
      const siblings: Map<number, Node> = parent?.children ?? this.#roots;
      const key = 3 * block + place;
      let node: Node | undefined = siblings.get(key);
      if (!node) {
        const isEnd = place === ANCHOR_END;
        node = { id: this.#count++, block, place, parent, children: new Map(), isEnd };
        siblings.set(key, node);
        // Anchors are one message, whatever else begins like them.
        if (parent && siblings.size > 1 && parent.place !== ANCHOR) parent.isEnd = true;
      }
      parent = node;
    }
    if (!parent) return;
    if (parent.place !== ANCHOR) parent.isEnd = true;
    this.#leaves.set(call, parent);
  }

  #path(call: RecordedCall): readonly Node[] {
    const path: Node[] = [];
    for (let node = this.#leaves.get(call); node; node = node.parent) path.push(node);
    return path.toReversed();
  }
}
