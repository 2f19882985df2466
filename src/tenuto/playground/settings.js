/** The settings of a completion: their names, ranges and help. Pure. */

/** @type {NumberField[]} */
export const NUMBERS = [
  {
    ...{ name: "max_tokens_to_sample", label: "Max tokens", min: 1, max: 2 ** 31 - 1 },
    ...{ whole: true, empty: "", help: "The completion ends after this number of tokens. 1 or more." },
  },
  {
    ...{ name: "temperature", label: "Temperature", min: 0, max: 1 },
    ...{ whole: false, empty: "", help: "0 takes the likeliest token, 1 samples as the model predicts. 0 to 1." },
  },
  {
    ...{ name: "top_p", label: "Top P", min: 0, max: 1 },
    ...{ whole: false, empty: "off", help: "Sample from this share of the probability. 0 to 1." },
  },
  {
    ...{ name: "top_k", label: "Top K", min: 0, max: 2 ** 31 - 1 },
    ...{ whole: true, empty: "off", help: "Sample from this number of the likeliest tokens. 1 or more." },
  },
  {
    ...{ name: "seed", label: "Seed", min: 0, max: Number.MAX_SAFE_INTEGER },
    ...{ whole: true, empty: "random", help: "The same seed repeats the same sampling. 0 or more." },
  },
];

/** @returns {Settings} */
export function defaultSettings() {
  return {
    ...{ model: "", max_tokens_to_sample: 256, temperature: 0.7, top_p: null, top_k: null },
    ...{ seed: null, stop_sequences: [] },
  };
}

/**
 * Return the body of a request, without `stream`.
 * @param {string} prompt
 * @param {Settings} settings
 * @param {number | null} logprobs
 * @returns {Record<string, unknown>}
 */
export function requestBody(prompt, settings, logprobs = null) {
  const { model, max_tokens_to_sample, stop_sequences, ...others } = settings;
  /** @type {Record<string, unknown>} */
  const body = { model, prompt, max_tokens_to_sample };
  if (stop_sequences.length) body.stop_sequences = stop_sequences;
  for (const [name, value] of Object.entries(others)) if (value !== null) body[name] = value;
  if (logprobs !== null) body.logprobs = logprobs;
  return body;
}

/**
 * Parse the text of a number's field.
 * @param {NumberField} field
 * @param {string} text
 * @returns {{value: number | null, mistake: string}}
 */
export function parseNumber(field, text) {
  const trimmed = text.trim();
  if (!trimmed) {
    return { value: null, mistake: field.empty ? "" : `${field.label} is required.` };
  }
  const value = Number(trimmed);
  if (!Number.isFinite(value) || value < field.min || value > field.max) {
    const top = field.max > 1 ? "or more" : `to ${field.max}`;
    return { value: null, mistake: `${field.label} must be ${field.min} ${top}.` };
  }
  if (field.whole && !Number.isSafeInteger(value)) {
    return { value: null, mistake: `${field.label} must be a whole number.` };
  }
  return { value, mistake: "" };
}

/**
 * Return the text of a stop sequence from its written form with `\n`, `\t` and `\\`.
 * @param {string} written
 */
export function parseStop(written) {
  return written.replace(/\\([nt\\])/g, (_, letter) => ({ n: "\n", t: "\t" })[letter] ?? letter);
}

/**
 * Return settings from data of a file or a link, with defaults for what is missing or invalid.
 * @param {any} data
 * @returns {Settings}
 */
export function checkedSettings(data) {
  const settings = defaultSettings();
  if (typeof data !== "object" || data === null) return settings;
  if (typeof data.model === "string") settings.model = data.model.slice(0, 256);
  for (const field of NUMBERS) {
    const value = data[field.name];
    if (value === null && field.empty) settings[field.name] = /** @type {any} */ (null);
    if (typeof value !== "number") continue;
    const { mistake } = parseNumber(field, String(value));
    if (!mistake) settings[field.name] = value;
  }
  if (Array.isArray(data.stop_sequences)) {
    settings.stop_sequences = data.stop_sequences
      .filter((/** @type {unknown} */ stop) => typeof stop === "string" && stop !== "")
      .slice(0, 1024);
  }
  return settings;
}
