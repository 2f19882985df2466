/** Completions beside each other: a pile of cards for each column. */
import { LETTERS } from "./controls.js";
import { difference } from "./diff.js";
import { element } from "./dom.js";
import { showFigures } from "./figures.js";
import { addSegment, blockOf, writtenSegments } from "./layout.js";
import { Sheet } from "./sheet.js";

export class Results {
  /** @type {Card[]} */
  #cards = [];
  #marked = true;

  /** @param {HTMLElement} root @param {Workbench} bench */
  constructor(root, bench) {
    this.root = root;
    this.bench = bench;
  }

  /** Begin with the branches that the workbench compares. */
  start() {
    const { compared, repeat } = this.bench;
    this.#cards = compared.map((branch, index) => {
      const column = LETTERS[Math.floor(index / repeat)];
      const name = repeat > 1 ? `${column}${(index % repeat) + 1}` : column;
      return new Card(branch, name, this.bench);
    });
    const piles = [];
    for (let at = 0; at < this.#cards.length; at += repeat) {
      const cards = this.#cards.slice(at, at + repeat).map((card) => card.root);
      piles.push(cards);
    }
    const columns = piles.length === 1 ? piles[0].map((card) => [card]) : piles;
    const grid = columns.map((cards) => element("div", { class: "pile" }, ...cards));
    this.root.replaceChildren(this.#bar(), element("div", { class: "grid" }, ...grid));
    this.root.hidden = false;
  }

  update() {
    for (const card of this.#cards) card.update();
  }

  /** Mark the differences to the first completion. */
  end() {
    this.update();
    const first = this.#cards[0]?.branch.completion ?? "";
    for (const card of this.#cards) card.end(this.#marked ? first : null);
  }

  close() {
    this.#cards = [];
    this.bench.compared = [];
    this.root.hidden = true;
    this.root.replaceChildren();
  }

  #bar() {
    const box = element("input", {
      ...{ type: "checkbox", checked: this.#marked },
      change: () => {
        this.#marked = box.checked;
        if (!this.bench.running.length) this.end();
      },
    });
    return element(
      "div",
      { class: "bar row" },
      element("h2", {}, "Side by side"),
      element("label", { class: "check" }, box, "Mark differences to the first"),
      element("button", { id: "results-close", click: () => this.close() }, "Close"),
    );
  }
}

class Card {
  #drawn = 0;
  #tokens = 0;

  /** @param {Branch} branch @param {string} name @param {Workbench} bench */
  constructor(branch, name, bench) {
    this.branch = branch;
    this.figures = element("dl", { class: "figures" });
    const sheet = element("div", { class: "sheet" });
    this.sheet = new Sheet(sheet);
    this.sheet.draw([blockOf("completion", "")]);
    this.message = element("p", { class: "wrong" });
    const use = { "aria-label": `Use ${name}`, click: () => bench.open(branch.id) };
    this.use = element("button", { ...use, disabled: true }, "Use");
    const { model, temperature } = branch.settings;
    const title = `${name} \u00b7 ${model} \u00b7 ${temperature}`;
    this.root = element(
      "article",
      { class: "card", "aria-label": `Completion ${name}` },
      element("header", {}, element("h3", {}, title), this.use),
      sheet,
      this.message,
      this.figures,
    );
  }

  update() {
    const { branch } = this;
    const { completion, tokens } = branch;
    if (completion.length > this.#drawn) {
      const added = tokens.slice(this.#tokens);
      this.sheet.append(writtenSegments(completion, added, this.#drawn, completion.length));
      this.#drawn = completion.length;
      this.#tokens = tokens.length;
    }
    showFigures(this.figures, branch, true);
    this.message.textContent = branch.outcome.message;
    this.use.disabled = branch.outcome.reason === "running" || !completion;
  }

  /** @param {string | null} base The completion to compare with. */
  end(base) {
    const { completion, tokens } = this.branch;
    const blocks = [blockOf("completion", "")];
    if (base === null || base === completion) {
      const segments = writtenSegments(completion, tokens, 0, completion.length);
      for (const segment of segments) addSegment(blocks, segment);
    } else {
      for (const part of difference(base, completion)) {
        const look = part.same ? "written" : "different";
        addSegment(blocks, { text: part.text, look, title: part.same ? "" : "Different" });
      }
    }
    this.sheet.draw(blocks);
  }
}
