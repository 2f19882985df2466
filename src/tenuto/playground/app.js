/** The page: connects its parts. */

import { Api, ApiError } from "./api.js";
import { BranchList } from "./branches.js";
import { forgetLimitations } from "./completion.js";
import { Controls } from "./controls.js";
import { byId, element, onClick, openDialog } from "./dom.js";
import { Editor } from "./editor.js";
import { EXAMPLES } from "./examples.js";
import { announcement, showFigures } from "./figures.js";
import { Inspector } from "./inspector.js";
import { PromptCheck } from "./prompt_check.js";
import { Results } from "./results.js";
import { ServerState } from "./server_state.js";
import { Sessions } from "./sessions.js";
import { checkedSettings } from "./settings.js";
import { Share } from "./share.js";
import { Store } from "./store.js";
import { fromLinkFragment } from "./transfer.js";
import { visible } from "./tokens.js";
import { turnToInsert } from "./turns.js";
import { Workbench } from "./workbench.js";

const api = new Api(new URL("./", location.href).href);
const editor = new Editor(
  {
    scroller: byId("scroller"),
    sheet: byId("sheet"),
    area: byId("area", HTMLTextAreaElement),
  },
  {
    onEdit: (before, caret, burst) => {
      bench.history.record({ text: before, caret, branch: bench.current }, burst);
      bench.emit("edit");
    },
    onCaret: () => inspector.update(),
  },
);
const bench = new Workbench(api, editor);
const inspector = new Inspector(byId("token"), bench);
const controls = new Controls(byId("settings"), byId("columns"), bench);
const server = new ServerState(api, (models) => {
  forgetLimitations();
  check.canCount = true;
  controls.setModels(models);
  check.later();
});
const check = new PromptCheck(
  { count: byId("count"), mistakes: byId("mistakes") },
  bench,
  server,
);
const results = new Results(byId("results"), bench);
const sessions = new Sessions(bench, await Store.open());
const branches = new BranchList(byId("branches"), bench, (ids) =>
  sessions.removeBranches(ids),
);
new Share(bench, server);

const runButton = onClick("run", () => run(false));
const againButton = onClick("again", () => run(true));
const stopButton = onClick("stop", () => bench.stop());
const undoButton = onClick("undo", () => bench.undo());
const redoButton = onClick("redo", () => bench.redo());
const beforeButton = onClick("before", () => moveToSibling(-1));
const nextButton = onClick("next", () => moveToSibling(1));
onClick("insert-human", () => insertTurn("Human"));
onClick("insert-assistant", () => insertTurn("Assistant"));
onClick("open-examples", () => openDialog("examples-dialog"));
onClick("open-help", () => openDialog("help-dialog"));
onClick("theme", changeTheme);

const repeat = byId("repeat", HTMLSelectElement);
repeat.addEventListener("change", () => (bench.repeat = Number(repeat.value)));
const shade = byId("shade", HTMLInputElement);
shade.addEventListener("change", showShade);

for (const example of EXAMPLES) {
  const name = element("b", {}, example.name);
  const about = element("span", { class: "quiet" }, example.about);
  const button = element("button", { click: () => useExample(example) }, name, about);
  byId("examples").append(element("li", {}, button));
}

bench.addEventListener("change", update);
bench.addEventListener("edit", () => {
  bench.emit("alert", null);
  updateButtons();
  inspector.update();
  check.later();
});
bench.addEventListener("compare", () => results.start());
bench.addEventListener("ended", (event) => {
  const ended = /** @type {CustomEvent} */ (event).detail;
  if (bench.compared.length) results.end();
  check.now();
  byId("status").textContent = ended.map(announcement).join(" ");
});
bench.addEventListener("alert", (event) => showAlert(/** @type {CustomEvent} */ (event).detail));
let progressFrame = 0;
bench.addEventListener("progress", () => {
  progressFrame ||= requestAnimationFrame(() => {
    progressFrame = 0;
    if (bench.compared.length) results.update();
    else showFigures(byId("figures"), bench.branch);
    check.showCount();
  });
});

addEventListener("keydown", (event) => {
  const control = event.ctrlKey || event.metaKey;
  if (event.key === "Escape" && bench.running.length) bench.stop();
  else if (control && event.key === "Enter") run(event.shiftKey);
  else if (event.altKey && event.shiftKey && event.key === "Enter") regenerate();
  else if (event.altKey && event.key === "Enter") inspector.focus();
  else if (event.altKey && event.code === "Digit1") byId("insert-human").click();
  else if (event.altKey && event.code === "Digit2") byId("insert-assistant").click();
  else if (control && event.key.toLowerCase() === "z" && event.target === editor.area) {
    if (event.shiftKey) bench.redo();
    else bench.undo();
  } else if (control && event.key === "y" && event.target === editor.area) bench.redo();
  else return;
  event.preventDefault();
});
// The menu of the browser.
editor.area.addEventListener("beforeinput", (event) => {
  if (event.inputType === "historyUndo") bench.undo();
  else if (event.inputType === "historyRedo") bench.redo();
  else return;
  event.preventDefault();
});

/** @param {"Human" | "Assistant"} name */
function insertTurn(name) {
  editor.insert(turnToInsert(editor.text.slice(0, editor.caret), name));
}

/** @param {boolean} again */
function run(again) {
  const mistake = [...controls.mistakes.values()][0];
  if (mistake) {
    showAlert(new ApiError(mistake));
    return;
  }
  if (bench.running.length) return;
  if (bench.columns.length * bench.repeat === 1) results.close();
  byId("status").textContent = "Writing.";
  bench.run(again);
}

function regenerate() {
  inspector.update();
  if (inspector.token) bench.continueFrom(inspector.token);
}

/** @param {number} step */
function moveToSibling(step) {
  if (bench.current !== null) bench.open(bench.tree.sibling(bench.current, step).id);
}

/** @param {typeof EXAMPLES[number]} example */
function useExample(example) {
  byId("examples-dialog", HTMLDialogElement).close();
  if (bench.running.length) return;
  bench.columns = [checkedSettings({ model: bench.settings.model, ...example.settings })];
  bench.active = 0;
  bench.replaceText(example.text);
  editor.area.focus();
}

function update() {
  controls.update();
  branches.update();
  inspector.update();
  showFigures(byId("figures"), bench.compared.length ? null : bench.branch);
  updateButtons();
}

function updateButtons() {
  const isRunning = bench.running.length > 0;
  const focused = document.activeElement === runButton || document.activeElement === stopButton;
  runButton.hidden = isRunning;
  stopButton.hidden = !isRunning;
  if (focused) (isRunning ? stopButton : runButton).focus();
  againButton.disabled = isRunning || !editor.written;
  undoButton.disabled = isRunning || !bench.history.canUndo;
  redoButton.disabled = isRunning || !bench.history.canRedo;
  const row = bench.current === null ? [] : bench.tree.siblings(bench.current);
  const at = row.findIndex((branch) => branch.id === bench.current);
  beforeButton.disabled = isRunning || at <= 0;
  nextButton.disabled = isRunning || at < 0 || at === row.length - 1;
  byId("place").textContent = at < 0 ? "\u2013" : `${at + 1} / ${row.length}`;
}

/** @param {ApiError | null} error */
function showAlert(error) {
  const alert = byId("alert");
  if (!error) {
    if (alert.firstChild) alert.replaceChildren();
    return;
  }
  if (error.status === 401) server.askForKey(error.message);
  if (error.status === 400 && error.message.startsWith("prompt")) {
    check.refusal = { text: editor.text, message: error.message };
    check.now();
  }
  if (!error.status) server.watch();
  const details = [error.type, error.requestId].filter(Boolean).join(" \u00b7 ");
  alert.replaceChildren(visible(error.message), element("span", { class: "quiet" }, details));
}

function showShade() {
  document.body.classList.toggle("shaded", shade.checked);
}

function changeTheme() {
  const themes = ["", "light", "dark"];
  const root = document.documentElement;
  const next = themes[(themes.indexOf(root.dataset.theme ?? "") + 1) % themes.length];
  setTheme(next);
  localStorage.setItem("tenuto-playground-theme", next);
}

/** @param {string} theme */
function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  byId("theme").textContent = theme ? `Theme: ${theme}` : "Theme";
}

setTheme(localStorage.getItem("tenuto-playground-theme") ?? "");
showShade();
const linked = fromLinkFragment(location.hash);
if (linked) {
  // The address bar would keep the prompt in the browser's history.
  history.replaceState(null, "", location.pathname);
  await sessions.begin(linked.text, [linked.settings]);
} else {
  await sessions.restore();
}
update();
editor.area.focus();
document.body.dataset.started = "true";
await server.watch();
