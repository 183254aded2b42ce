// Asks the server that the page came from. Addresses are relative, so that the page works behind a proxy's prefix, too.

import { EventParser } from "./sse.js";
import { apiKey } from "./session.js";

const requestMilliseconds = 20_000; // for everything but streams

/** APIError is an answer that is no success. code is the server's word for it; status 0 = nobody answered. */
export class APIError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** missing says that the server has no such route, as opposed to no such thing behind it. */
  get missing() {
    return this.status === 405 || (this.status === 404 && this.code === "unknown_url");
  }
}

async function failure(response) {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text);
    return new APIError(response.status, error.code ?? "", error.message);
  } catch {
    return new APIError(response.status, "", `The server answered ${response.status}.`);
  }
}

async function ask(path, { method = "GET", body, signal } = {}) {
  const headers = {};
  if (apiKey()) headers.Authorization = `Bearer ${apiKey()}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" });
  } catch (error) {
    if (signal?.aborted && signal.reason?.name !== "TimeoutError") throw error;
    throw new APIError(0, "", "The server does not answer.");
  }
  if (!response.ok) throw await failure(response);
  return response;
}

/** get reads JSON. */
export async function get(path) {
  return (await ask(path, { signal: AbortSignal.timeout(requestMilliseconds) })).json();
}

/** post sends JSON and reads JSON. */
export async function post(path, body) {
  return (await ask(path, { method: "POST", body: body ?? {}, signal: AbortSignal.timeout(requestMilliseconds) })).json();
}

/** stream yields the chunks of an event stream until [DONE]; an error inside it is thrown as APIError. */
export async function* stream(path, body, signal) {
  const response = await ask(path, { method: "POST", body, signal });
  const reader = response.body.getReader();
  const [decoder, parser] = [new TextDecoder(), new EventParser()];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new APIError(0, "", "The stream broke off before its end.");
    for (const data of parser.push(decoder.decode(value, { stream: true }))) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new APIError(chunk.error.status ?? 500, chunk.error.code ?? "", chunk.error.message);
      yield chunk;
    }
  }
}

/** randomID is 128 random bits; crypto.randomUUID is not there on plain HTTP. */
export function randomID() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}
