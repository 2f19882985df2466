/** The drawn text below the editor's transparent text area, and completions beside each other. */
import { addSegment, blockOf } from "./layout.js";
import { element } from "./dom.js";
import { codePoint, splitInvisible } from "./tokens.js";

// Elements drawn in one frame while text arrives faster than it can be drawn.
const MOST_A_FRAME = 500;

export class Sheet {
  /** @type {Block[]} */
  #blocks = [];
  /** @type {Segment[]} */
  #waiting = [];
  #frame = 0;
  #end = document.createElement("br");

  /**
   * @param {HTMLElement} root
   * @param {() => void} [onDraw] Called after text was appended.
   */
  constructor(root, onDraw = () => {}) {
    this.root = root;
    this.onDraw = onDraw;
    root.append(this.#end);
  }

  /**
   * Draw a text. Blocks that look the same as before stay.
   * @param {Block[]} blocks
   */
  draw(blocks) {
    this.#waiting = [];
    const before = this.#blocks;
    const most = Math.min(before.length, blocks.length);
    let first = 0;
    while (first < most && before[first].key === blocks[first].key) first++;
    let last = 0;
    while (last < most - first && before.at(-1 - last)?.key === blocks.at(-1 - last)?.key) last++;
    for (let index = before.length - last - 1; index >= first; index--) {
      this.root.children[index].remove();
    }
    const next = this.root.children[first];
    for (const block of blocks.slice(first, blocks.length - last)) {
      this.root.insertBefore(drawn(block), next ?? null);
    }
    this.#blocks = blocks;
    this.#placeEnd();
  }

  /**
   * Append segments with the next frame.
   * @param {Segment[]} segments
   */
  append(segments) {
    this.#waiting.push(...segments);
    this.#frame ||= requestAnimationFrame(() => this.#appendSome());
  }

  /**
   * Return the drawn characters from one position to another, which lie in one block.
   * @param {number} start
   * @param {number} end
   */
  range(start, end) {
    let before = 0;
    let index = 0;
    while (index < this.#blocks.length && before + this.#blocks[index].length <= start) {
      before += this.#blocks[index++].length;
    }
    const range = document.createRange();
    const block = this.root.children[index];
    if (!block) return range;
    const texts = document.createTreeWalker(block, NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node; node = texts.nextNode()) {
      const after = before + (node.textContent ?? "").length;
      if (before <= start && start < after) range.setStart(node, start - before);
      if (before < end && end <= after) range.setEnd(node, end - before);
      before = after;
    }
    return range;
  }

  /** @returns {Promise<void>} Resolved when nothing waits to be drawn. */
  async drained() {
    while (this.#waiting.length) await nextFrame();
  }

  #appendSome() {
    this.#frame = 0;
    const waiting = this.#waiting;
    if (!waiting.length) return;
    if (!this.#blocks.length) this.draw([blockOf("system", "")]);
    for (const segment of waiting.splice(0, MOST_A_FRAME)) {
      addSegment(this.#blocks, segment, (block, part) => this.#appendPart(block, part));
    }
    this.#waiting = waiting;
    this.#placeEnd();
    this.onDraw();
    if (this.#waiting.length) this.append([]);
  }

  /**
   * @param {Block} block The last one.
   * @param {Segment} part
   */
  #appendPart(block, part) {
    while (this.root.children.length < this.#blocks.length) {
      this.root.append(drawn({ ...block, segments: [] }));
    }
    const root = /** @type {Element} */ (this.root.lastElementChild);
    const last = part.look === "written" ? lastWritten(root, this.#end) : null;
    if (last) last.append(...drawnParts(part.text));
    else root.append(...drawnSegment(part));
  }

  /** Let a line break at the end be a line, as it is in a text area. */
  #placeEnd() {
    this.#end.remove();
    (this.root.lastElementChild ?? this.root).append(this.#end);
  }
}

/** @returns {Promise<unknown>} Resolved with the next frame. */
export function nextFrame() {
  return new Promise((resume) => requestAnimationFrame(resume));
}

/** @param {Block} block */
function drawn(block) {
  const made = element("div", { class: `turn ${block.look}`, "data-label": block.label || null });
  made.append(...block.segments.flatMap(drawnSegment));
  return made;
}

/** @param {Segment} segment */
function drawnSegment(segment) {
  const nodes = drawnParts(segment.text);
  if (!segment.look) return nodes;
  return [element("span", { class: segment.look, title: segment.title || null }, ...nodes)];
}

/** @param {string} text */
function drawnParts(text) {
  // A text area makes a line break of a lone carriage return.
  return splitInvisible(text.replace(/\r(?!\n)/g, "\n")).map((part, index) =>
    index % 2
      ? element("span", { class: "invisible", "data-name": codePoint(part) }, part)
      : document.createTextNode(part),
  );
}

/**
 * Return the last element of a block if it is written text without tokens.
 * @param {Element} root
 * @param {Element} end The line break at the end.
 */
function lastWritten(root, end) {
  const last = root.lastChild === end ? end.previousSibling : root.lastChild;
  return last instanceof HTMLElement && last.className === "written" ? last : null;
}
