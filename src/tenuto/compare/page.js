"use strict";
// All data is put into the page as text, never as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const MOST_WORDS = 2000;

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

/** Return the words of two texts with marks of those that only one of them has. */
function difference(before, after) {
  const a = before.split(/(\s+)/), b = after.split(/(\s+)/);
  if (a.length > MOST_WORDS || b.length > MOST_WORDS) return [[before], [after]];
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const at = i * width + j;
      common[at] = a[i] === b[j] ? common[at + width + 1] + 1 : Math.max(common[at + width], common[at + 1]);
    }
  }
  const left = [], right = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      left.push(a[i++]);
      right.push(b[j++]);
    } else if (j >= b.length || (i < a.length && common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      left.push(element("del", a[i++]));
    } else {
      right.push(element("ins", b[j++]));
    }
  }
  return [left, right];
}

function side(answer, content) {
  const facts = [answer.name, answer.error || answer.end, answer.ms === null ? "" : `${Math.round(answer.ms)} ms`];
  return element("div", "", element("p", facts.filter(Boolean).join(" · ")), element("pre", "", ...content));
}

function comparison(row) {
  const alike = row.similarity === null ? "not compared" : `similarity ${row.similarity.toFixed(2)}`;
  const kind = row.noise ? " · noise" : "";
  const made = element("details", "", element("summary", `${row.requested} · ${alike}${kind} · ${row.id} · ${row.at}`));
  made.addEventListener("toggle", () => {
    if (made.childElementCount > 1) return;
    const [prompt, a, b] = row.texts ?? ["", "", ""];
    const [left, right] = difference(a, b);
    if (row.texts) made.append(element("pre", prompt));
    const sides = element("div", "", side(row.a, left), side(row.b, right));
    sides.className = "sides";
    made.append(sides);
    if (!row.texts) made.append(element("p", "The texts were not kept: see keep_texts."));
  });
  return made;
}

function choice(label, options) {
  const select = element("select");
  options.forEach((text, number) => select.append(new Option(text, String(number))));
  document.getElementById("filters").append(element("label", `${label} `, select));
  return select;
}

const route = choice("Route", ["all", ...data.routes]);
const names = ["different", "equal", "failed", "JSON that is broken", "noise"];
const kind = choice("Show", ["all", ...names].map((name, number) => `${name} (${[data.total, ...data.totals][number]})`));
const limit = choice("Similarity", ["any", "below 0.9", "below 0.7", "below 0.5", "below 0.3"]);
const words = element("input");
words.type = "search";
document.getElementById("filters").append(element("label", "Search ", words));

const KINDS = [
  () => true,
  (row) => !row.noise && row.similarity !== null && !row.exact,
  (row) => !row.noise && row.exact,
  (row) => Boolean(row.b.error),
  (row) => row.json,
  (row) => row.noise,
];
const LIMITS = [2, 0.9, 0.7, 0.5, 0.3];

function show() {
  const searched = words.value.toLowerCase();
  const found = data.rows.filter((row) =>
    (route.value === "0" || row.route === Number(route.value) - 1) &&
    KINDS[Number(kind.value)](row) &&
    (limit.value === "0" || (row.similarity !== null && row.similarity < LIMITS[Number(limit.value)])) &&
    (!searched || [row.id, ...(row.texts ?? [])].some((text) => text.toLowerCase().includes(searched))));
  const all = data.rows.length === data.total ? "" :
    ` This page has ${data.rows.length} of ${data.total}: failures, broken JSON and the least alike, and a sample of equal ones and of noise.`;
  const count = `${found.length} comparisons.${all}`;
  document.getElementById("rows").replaceChildren(element("p", count), ...found.map(comparison));
}

for (const control of [route, kind, limit, words]) control.addEventListener("input", show);
show();
