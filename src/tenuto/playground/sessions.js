/** Sessions: kept in this browser, listed, imported and exported. */
import { byId, element, onClick, openDialog } from "./dom.js";
import { checkedSettings } from "./settings.js";
import { InvalidSession, MOST_FILE_BYTES, sessionFromJson, sessionToJson } from "./transfer.js";
import { newId } from "./workbench.js";

const QUIET_MS = 300;
// Characters of a text that may become the name of its session.
const MOST_TITLE_CHARS = 1000;
// What a page writes while it is left, which IndexedDB may be too slow for.
const LEFT = "tenuto-playground-left";
const TAB = "tenuto-playground-session";

export class Sessions {
  id = newId();
  name = "Untitled";
  #timer = 0;
  /** What the store has not confirmed. @type {Set<{ id: string, branches: Branch[] }>} */
  #saving = new Set();

  /** @param {Workbench} bench @param {Store | null} store */
  constructor(bench, store) {
    this.bench = bench;
    this.store = store;
    bench.addEventListener("edit", () => this.saveLater());
    bench.addEventListener("change", () => this.saveLater());
    bench.addEventListener("progress", () => this.saveLater());
    bench.addEventListener("ended", () => this.save());
    addEventListener("pagehide", () => this.#leave());
    onClick("open-sessions", () => this.#openList());
    onClick("session-new", () => this.begin("", [{}]));
    onClick("session-export", () => this.#export());
    const file = byId("session-file", HTMLInputElement);
    onClick("session-import", () => file.click());
    file.addEventListener("change", () => this.#import(file));
  }

  /** Open the session of this tab, or else the latest one, or a new one. */
  async restore() {
    const left = takeLeft();
    const drafts = (await this.store?.drafts()) ?? [];
    const id = sessionStorage.getItem(TAB);
    const draft = left?.draft ?? drafts.find((each) => each.id === id) ?? drafts[0];
    if (!draft) return;
    const branches = (await this.store?.branches(draft.id)) ?? [];
    const added = (left?.branches ?? []).filter(isBranch);
    for (const branch of [...branches, ...added]) endIfRunning(branch);
    const merged = new Map([...branches, ...added].map((branch) => [branch.id, branch]));
    this.#show(draft, [...merged.values()]);
    if (added.length) await this.store?.saveBranches(draft.id, added);
  }

  /**
   * Begin a new session.
   * @param {string} text
   * @param {object[]} columns
   */
  async begin(text, columns) {
    await this.bench.halt();
    const kept = this.bench.settings.model;
    this.id = newId();
    this.name = "Untitled";
    sessionStorage.setItem(TAB, this.id);
    const settings = columns.map((column) => checkedSettings({ model: kept, ...column }));
    this.bench.load({ branches: [], text, current: null, columns: settings });
    byId("sessions-dialog", HTMLDialogElement).close();
    this.bench.editor.area.focus();
  }

  saveLater() {
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.save();
    }, QUIET_MS);
  }

  /** Keep the draft, and the branches that run. */
  async save() {
    const { bench, store, id } = this;
    if (!store || (!bench.editor.text && !bench.tree.size)) return;
    const latest = bench.running.length ? bench.running : [bench.branch, ...bench.compared];
    const branches = /** @type {Branch[]} */ (latest.filter((branch) => branch && bench.tree.get(branch.id)));
    const saving = { id, branches };
    this.#saving.add(saving);
    try {
      // Both begin at once, because another session may be open when the first one ends.
      const draft = store.saveDraft(this.draft);
      await Promise.all([draft, store.saveBranches(id, branches)]);
    } catch {
      this.store = null;
      byId("status").textContent = "This browser keeps no more sessions. Export this one.";
    }
    this.#saving.delete(saving);
  }

  /** @param {string[]} ids */
  removeBranches(ids) {
    this.store?.removeBranches(this.id, ids);
  }

  /** @returns {StoredDraft} */
  get draft() {
    const { editor, current, columns } = this.bench;
    const first = editor.text.slice(0, MOST_TITLE_CHARS).replace(/\s*(Human|Assistant):\s*/g, " ").trim().slice(0, 60);
    const name = this.name === "Untitled" ? first || "Untitled" : this.name;
    return { id: this.id, name, text: editor.text, current, columns, changed: Date.now() };
  }

  /** @param {StoredDraft} draft @param {Branch[]} branches */
  #show(draft, branches) {
    this.id = draft.id;
    this.name = "Untitled";
    sessionStorage.setItem(TAB, draft.id);
    const columns = draft.columns.map(checkedSettings);
    this.bench.load({ branches, text: draft.text, current: draft.current, columns });
  }

  #leave() {
    const { running } = this.bench;
    this.bench.stop();
    // A page that is left may end what the store has begun to write.
    const begun = [...this.#saving].filter((each) => each.id === this.id);
    if (!this.#timer && !running.length && !begun.length) return;
    const branches = [...running, ...begun.flatMap((each) => each.branches)];
    try {
      sessionStorage.setItem(LEFT, JSON.stringify({ draft: this.draft, branches }));
    } catch {
      // Larger than the storage: what was saved a moment ago remains.
    }
  }

  async #openList() {
    byId("sessions-message").textContent = "";
    openDialog("sessions-dialog");
    await this.save();
    const drafts = (await this.store?.drafts()) ?? [];
    byId("sessions").replaceChildren(...drafts.map((draft) => this.#row(draft)));
  }

  /** @param {StoredDraft} draft */
  #row(draft) {
    const open = async () => {
      await this.bench.halt();
      this.#show(draft, (await this.store?.branches(draft.id)) ?? []);
      byId("sessions-dialog", HTMLDialogElement).close();
    };
    const remove = async () => {
      if (draft.id === this.id) await this.bench.halt();
      await this.store?.remove(draft.id);
      if (draft.id === this.id) {
        this.bench.load({ branches: [], text: "", current: null, columns: this.bench.columns });
        this.id = newId();
      }
      row.remove();
    };
    const when = new Date(draft.changed).toLocaleString();
    const current = String(draft.id === this.id);
    const row = element(
      "li",
      {},
      element("button", { class: "open", "aria-current": current, click: open }, draft.name),
      element("span", { class: "quiet" }, when),
      element("button", { "aria-label": `Delete ${draft.name}`, click: remove }, "Delete"),
    );
    return row;
  }

  #export() {
    const { id: _, changed: __, ...draft } = this.draft;
    const json = sessionToJson({ draft, branches: this.bench.tree.all() });
    const url = URL.createObjectURL(new Blob([json], { type: "application/json" }));
    element("a", { href: url, download: "tenuto-session.json" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  /** @param {HTMLInputElement} input */
  async #import(input) {
    const message = byId("sessions-message");
    const file = input.files?.[0];
    input.value = "";
    if (!file) return;
    try {
      if (file.size > MOST_FILE_BYTES) throw new InvalidSession("The file is larger than 32 MiB.");
      const { draft, branches } = sessionFromJson(await file.text(), newId);
      await this.bench.halt();
      this.id = newId();
      await this.store?.saveBranches(this.id, branches);
      this.#show({ ...draft, id: this.id, changed: Date.now() }, branches);
      byId("sessions-dialog", HTMLDialogElement).close();
    } catch (error) {
      const reason = error instanceof InvalidSession ? error.message : "The file cannot be read.";
      message.textContent = `${file.name}: ${reason}`;
    }
  }
}

/** @returns {{draft: StoredDraft, branches: Branch[]} | null} */
function takeLeft() {
  const left = sessionStorage.getItem(LEFT);
  sessionStorage.removeItem(LEFT);
  return left === null ? null : JSON.parse(left);
}

/** @param {Branch | null} branch */
function isBranch(branch) {
  return typeof branch?.id === "string";
}

/** @param {Branch} branch */
function endIfRunning(branch) {
  if (branch.outcome.reason === "running") branch.outcome.reason = "stopped";
}
