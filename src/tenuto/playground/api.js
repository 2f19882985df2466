/** Requests to the server's public API. */
import { EventParser } from "./sse.js";

const VERSION = "2023-06-01";
// Time until other work gets its turn while events arrive faster than they are drawn.
const SLICE_MS = 12;

/** A refusal in the server's words, or a failed connection. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {ErrorDetails} [details]
   */
  constructor(message, { type = "", status = 0, requestId = "" } = {}) {
    super(message);
    this.type = type;
    this.status = status;
    this.requestId = requestId;
  }
}

export class Api {
  /** The API key, for the lifetime of the tab and in its memory alone. */
  key = "";

  /** @param {string} base Address of the server, with a slash at its end. */
  constructor(base) {
    this.base = base;
  }

  /** @returns {Promise<Record<string, any>>} The engine's state, also while it loads. */
  async ready() {
    const response = await this.#fetch("ready", {}, [200, 503]);
    return response.json();
  }

  /** @returns {Promise<{id: string, display_name: string}[]>} */
  async models() {
    const response = await this.#fetch("v1/models?limit=1000", {});
    return (await response.json()).data;
  }

  /**
   * Return the number of tokens of a prompt; null if the server cannot count.
   * @param {{model: string, prompt: string}} body
   * @param {AbortSignal} signal
   * @returns {Promise<number | null>}
   */
  async count(body, signal) {
    try {
      const response = await this.#post("v1/complete/count_tokens", body, signal);
      return (await response.json()).input_tokens;
    } catch (error) {
      // The engine cannot count, or the server is of an earlier version.
      if (error instanceof ApiError && /^count_tokens|^Not Found/.test(error.message)) return null;
      throw error;
    }
  }

  /**
   * Stream a completion.
   * @param {Record<string, unknown>} body
   * @param {AbortSignal} signal
   * @returns {Promise<{headers: Headers, events: AsyncGenerator<any>}>}
   */
  async complete(body, signal) {
    const response = await this.#post("v1/complete", { ...body, stream: true }, signal);
    return { headers: response.headers, events: completionEvents(response) };
  }

  /** @param {string} path @param {unknown} body @param {AbortSignal} signal */
  #post(path, body, signal) {
    const headers = { "content-type": "application/json" };
    return this.#fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  }

  /** @param {string} path @param {RequestInit} init @param {number[]} accepted */
  async #fetch(path, init, accepted = [200]) {
    /** @type {Response} */
    let response;
    const headers = new Headers(init.headers);
    headers.set("anthropic-version", VERSION);
    if (this.key) headers.set("x-api-key", this.key);
    try {
      response = await fetch(new URL(path, this.base), {
        ...{ ...init, headers },
        ...{ cache: "no-store", credentials: "omit", redirect: "error" },
      });
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new ApiError("The server cannot be reached.");
    }
    if (!accepted.includes(response.status)) throw await refusalOf(response);
    return response;
  }
}

/** @param {unknown} error */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/** @param {Response} response */
async function refusalOf(response) {
  try {
    const { error } = await response.json();
    return errorOf(response, error.message, error.type);
  } catch {
    return errorOf(response, `The server responded with status ${response.status}.`, "");
  }
}

/** @param {Response} response @param {unknown} message @param {unknown} type */
function errorOf({ status, headers }, message, type) {
  const requestId = headers.get("request-id") ?? "";
  return new ApiError(String(message), { type: String(type), status, requestId });
}

/** @param {Response} response */
async function* completionEvents(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  let begun = performance.now();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      const events = parser.push(done ? decoder.decode() : decoder.decode(value, { stream: true }));
      for (const event of events) {
        const body = checked(event, response);
        if (body) yield body;
        if (performance.now() - begun > SLICE_MS) {
          await new Promise((resume) => setTimeout(resume));
          begun = performance.now();
        }
      }
      if (done) return;
    }
  } catch (error) {
    if (error instanceof ApiError || isAbort(error)) throw error;
    throw new ApiError("The connection ended before the completion did. The text so far is kept.");
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @param {ServerEvent} event @param {Response} response */
function checked(event, response) {
  if (event.event !== "completion" && event.event !== "error") return null;
  const body = JSON.parse(event.data);
  if (event.event === "completion") return body;
  throw errorOf(response, body.error?.message, body.error?.type);
}
