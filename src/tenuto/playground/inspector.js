/** The token at the caret: its probability, its alternatives, and ways to go on from it. */
import { limitation } from "./completion.js";
import { element, isNew } from "./dom.js";
import { isBytes, percent, tokenAt, visible } from "./tokens.js";

export class Inspector {
  /** @type {Token | null} */
  token = null;

  /** @param {HTMLElement} root @param {Workbench} bench */
  constructor(root, bench) {
    this.root = root;
    this.bench = bench;
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape") bench.editor.area.focus();
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      const buttons = [...root.querySelectorAll("button")];
      const at = buttons.indexOf(/** @type {any} */ (document.activeElement)) + step;
      buttons[Math.max(0, Math.min(buttons.length - 1, at))]?.focus();
      event.preventDefault();
    });
  }

  /** Show the token at the caret. A caret right after the last token belongs to it. */
  update() {
    const { editor } = this.bench;
    const { written } = editor;
    const at = editor.caret - (written?.start ?? 0);
    const tokens = written?.tokens ?? [];
    const last = tokens.at(-1);
    this.token = editor.isWriting
      ? null
      : tokenAt(tokens, at) ?? (last && last.end === at ? last : null);
    const model = this.bench.branch?.settings.model ?? this.bench.settings.model;
    if (!isNew(this.root, [this.token, limitation(model), this.bench.running.length])) return;
    editor.highlight(this.token);
    this.root.replaceChildren(...(this.token ? this.#details(this.token) : [this.#hint(model)]));
  }

  /** Move the focus to the first alternative. */
  focus() {
    // The event of the caret may still be on its way.
    this.update();
    this.root.querySelector("button")?.focus();
  }

  /** @param {string} model */
  #hint(model) {
    const reason = limitation(model);
    const { written } = this.bench.editor;
    if (reason && !(written?.tokens.length ?? 0)) {
      return element("p", { class: "quiet" }, `No token probabilities. ${reason}`);
    }
    const hint = "Complete the text, then put the caret into the completion: its token, the alternatives and their probabilities are shown here.";
    return element("p", { class: "quiet" }, hint);
  }

  /** @param {Token} token */
  #details(token) {
    const model = this.bench.branch?.settings.model ?? "";
    return [
      element("p", { class: "picked" }, visible(token.text) || "(empty)", element("b", {}, percent(token.logprob))),
      token.top
        ? this.#table(token, token.top)
        : element("p", { class: "quiet" }, `No alternatives. ${limitation(model)}`),
      element(
        "button",
        { id: "regenerate", click: () => this.bench.continueFrom(token) },
        "Regenerate from here",
      ),
    ];
  }

  /** @param {Token} token @param {[string, number][]} top */
  #table(token, top) {
    const covered = top.reduce((sum, [, logprob]) => sum + Math.exp(logprob), 0);
    const head = ["Token", "Probability", "Log"].map((name) => element("th", { scope: "col" }, name));
    const rows = top.map(([text, logprob]) => this.#row(token, text, logprob));
    const share = `The ${top.length} shown cover ${percent(Math.log(Math.min(1, covered)))}.`;
    return element(
      "div",
      {},
      element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)),
      element("p", { class: "quiet" }, share),
    );
  }

  /** @param {Token} token @param {string} text @param {number} logprob */
  #row(token, text, logprob) {
    const taken = text === token.text;
    const name = `Continue with ${visible(text)}, ${percent(logprob)}${taken ? ", the token taken" : ""}`;
    const button = element(
      "button",
      {
        ...{ "aria-label": name, title: name, disabled: isBytes(text) },
        click: () => this.bench.continueFrom(token, text),
      },
      visible(text),
    );
    return element(
      "tr",
      { class: taken ? "taken" : null },
      element("td", {}, button),
      element("td", {}, percent(logprob)),
      element("td", {}, logprob.toFixed(2)),
    );
  }
}
