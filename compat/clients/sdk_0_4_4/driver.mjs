// @anthropic-ai/sdk 0.4.4, of June 2023: the last one of version 2023-01-01.

import { createInterface } from "node:readline";

import { Client } from "@anthropic-ai/sdk";

const cases = {
  async plain(url, request) {
    return await new Client("any", { apiUrl: url }).complete(request);
  },

  async stream(url, request) {
    const events = [];
    const last = await new Client("any", { apiUrl: url }).completeStream(request, {
      onUpdate: (event) => events.push(event),
    });
    return { events, last };
  },

  async error(url, { api_key = "any", pad = 0, ...request }) {
    request.prompt += "x".repeat(pad);
    try {
      await new Client(api_key, { apiUrl: url }).complete(request);
    } catch (raised) {
      return { class: raised.constructor.name, message: raised.message };
    }
    return { class: null };
  },

  async leave(url, request) {
    const controller = new AbortController();
    let first;
    const raised = await new Client("any", { apiUrl: url })
      .completeStream(request, {
        signal: controller.signal,
        onUpdate: (event) => {
          first ??= event.completion;
          controller.abort();
        },
      })
      .catch((error) => error);
    return { first, class: raised.name };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, url, request] = JSON.parse(line);
  const answer = cases[name](url, request).catch((error) => ({ broke: error.stack }));
  console.log(JSON.stringify(await answer));
}
