/** The form of the settings, one column at a time. */
import { element, isNew } from "./dom.js";
import { NUMBERS, parseNumber, parseStop } from "./settings.js";
import { visible } from "./tokens.js";

/** The names of the columns. */
export const LETTERS = "ABCD";
const STOP_HELP = "The completion ends before any of these texts. Write \\n for a newline; Enter adds.";

export class Controls {
  /** @type {string[]} Models that answer by themselves. */
  #served = [];
  /** @type {string[]} */
  #others = [];
  /** @type {Map<string, {input: HTMLInputElement, help: HTMLElement, field: NumberField}>} */
  #numbers = new Map();
  /** @type {Map<string, string>} */
  mistakes = new Map();
  #model = element("select", { id: "model", change: () => this.#set("model", this.#model.value) });
  #stops = element("ul", { class: "chips", "aria-label": "Stop sequences" });
  #stop = element("input", {
    ...{ id: "stop-text", type: "text", placeholder: "\\n\\nQ:", spellcheck: "false", autocomplete: "off" },
    "aria-describedby": "stop-text-help",
    keydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) this.#addStop();
    },
  });

  /** @param {HTMLElement} root @param {HTMLElement} columns @param {Workbench} bench */
  constructor(root, columns, bench) {
    this.root = root;
    this.columns = columns;
    this.bench = bench;
    root.append(
      tallField("model", "Model", "The model that continues the text.", this.#model),
      ...NUMBERS.map((field) => this.#numberField(field)),
      tallField("stop-text", "Stop sequences", STOP_HELP, this.#stops, this.#stop),
    );
  }

  /** @param {{id: string, display_name: string}[]} models */
  setModels(models) {
    const own = models.filter((model) => model.id === model.display_name);
    this.#served = own.map((model) => model.id);
    this.#others = models.filter((model) => !own.includes(model)).map((model) => model.id);
    const first = this.#served[0] ?? this.#others[0] ?? "";
    for (const column of this.bench.columns) column.model ||= first;
    this.update();
  }

  /** Show the settings of the active column. */
  update() {
    const { settings, columns, active } = this.bench;
    this.#showColumns(columns.length, active);
    const names = [...this.#served, ...this.#others];
    const unknown = settings.model && !names.includes(settings.model) ? [settings.model] : [];
    if (isNew(this.#model, [unknown, this.#served, this.#others])) {
      this.#model.replaceChildren(
        ...group("Served here", [...unknown, ...this.#served]),
        ...group("Names of the retired service", this.#others),
      );
    }
    this.#model.value = settings.model;
    for (const { input, field } of this.#numbers.values()) {
      if (document.activeElement !== input) {
        const value = settings[field.name];
        input.value = value === null ? "" : String(value);
        this.#check(field);
      }
    }
    this.#showStops(settings.stop_sequences);
  }

  /** @param {number} count @param {number} active */
  #showColumns(count, active) {
    if (!isNew(this.columns, [count, active])) return;
    const tabs = Array.from({ length: count }, (_, index) =>
      element(
        "button",
        {
          ...{ "aria-pressed": String(index === active) },
          "aria-label": `Settings of column ${LETTERS[index]}`,
          click: () => this.#activate(index),
        },
        LETTERS[index],
      ),
    );
    const add = element(
      "button",
      { disabled: count >= LETTERS.length, click: () => this.#addColumn() },
      count > 1 ? "Add column" : "Compare side by side",
    );
    const remove = element("button", { click: () => this.#removeColumn() }, "Remove column");
    const inside = this.columns.contains(document.activeElement);
    this.columns.replaceChildren(...(count > 1 ? tabs : []), add, ...(count > 1 ? [remove] : []));
    if (inside) (tabs[count > 1 ? active : -1] ?? add).focus();
  }

  /** @param {number} index */
  #activate(index) {
    this.bench.active = index;
    this.bench.emit("change");
  }

  #addColumn() {
    const { bench } = this;
    bench.columns.push(structuredClone(bench.settings));
    this.#activate(bench.columns.length - 1);
  }

  #removeColumn() {
    const { bench } = this;
    bench.columns.splice(bench.active, 1);
    this.#activate(Math.max(0, bench.active - 1));
  }

  /** @param {NumberField} field */
  #numberField(field) {
    const id = `setting-${field.name}`;
    const help = element("p", { class: "help", id: `${id}-help` }, field.help);
    const input = element("input", {
      ...{ id, inputmode: field.whole ? "numeric" : "decimal", autocomplete: "off" },
      ...{ placeholder: field.empty, "aria-describedby": `${id}-help` },
      input: () => {
        const { value, mistake } = parseNumber(field, input.value);
        this.#check(field);
        if (!mistake) this.#set(field.name, value);
      },
      change: () => this.update(),
    });
    this.#numbers.set(field.name, { input, help, field });
    return element("div", { class: "field" }, element("label", { for: id }, field.label), input, help);
  }

  /** @param {NumberField} field */
  #check(field) {
    const { input, help } = /** @type {any} */ (this.#numbers.get(field.name));
    const { mistake } = parseNumber(field, input.value);
    if (mistake) this.mistakes.set(field.name, mistake);
    else this.mistakes.delete(field.name);
    input.setAttribute("aria-invalid", String(Boolean(mistake)));
    help.textContent = mistake || field.help;
    help.classList.toggle("wrong", Boolean(mistake));
  }

  #addStop() {
    const stop = parseStop(this.#stop.value);
    const { stop_sequences: stops } = this.bench.settings;
    this.#stop.value = "";
    if (stop && !stops.includes(stop)) this.#set("stop_sequences", [...stops, stop]);
  }

  /** @param {string[]} stops */
  #showStops(stops) {
    if (!isNew(this.#stops, stops)) return;
    const always = element("li", { class: "fixed", title: "Ends every completion" }, "\u21b5\u21b5Human:");
    const chips = stops.map((stop) =>
      element(
        "li",
        {},
        visible(stop),
        element(
          "button",
          {
            ...{ class: "plain", "aria-label": `Remove the stop sequence ${visible(stop)}` },
            click: () => {
              this.#set("stop_sequences", stops.filter((each) => each !== stop));
              this.#stop.focus();
            },
          },
          "\u00d7",
        ),
      ),
    );
    this.#stops.replaceChildren(always, ...chips);
  }

  /**
   * @template {keyof Settings} Name
   * @param {Name} name
   * @param {Settings[Name] | null} value
   */
  #set(name, value) {
    Object.assign(this.bench.settings, { [name]: value });
    this.bench.emit("change");
  }
}

/** @param {string} id @param {string} label @param {string} help @param {...HTMLElement} inputs */
function tallField(id, label, help, ...inputs) {
  const text = element("p", { class: "help", id: `${id}-help` }, help);
  return element("div", { class: "field tall" }, element("label", { for: id }, label), ...inputs, text);
}

/** @param {string} label @param {string[]} names */
function group(label, names) {
  if (!names.length) return [];
  return [element("optgroup", { label }, ...names.map((name) => element("option", { value: name }, name)))];
}
