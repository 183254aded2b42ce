// Says what is off, why, and what to do next. Every panel works without its routes: it shows a notice instead.

import { el } from "./dom.js";
import { askKey } from "./dialogs.js";

/**
 * notice explains a failure.
 *   what: the thing that is not there, as the subject of a sentence ("Learning")
 *   scope: the scope that its routes need
 *   hint: how to switch it on
 *   retry: called by the button
 */
export function notice(error, { what, scope, hint, retry }) {
  const [title, text] = explain(error, what, scope, hint);
  const buttons = [];
  if (error.status === 401 || error.status === 403) buttons.push(el("button", { class: "primary", onclick: askKey }, "Enter a key"));
  if (retry) buttons.push(el("button", { onclick: retry }, "Try again"));
  return el("div", { class: "notice", role: "status" }, el("h2", {}, title), el("p", {}, text), el("div", { class: "row" }, buttons));
}

function explain(error, what, scope, hint) {
  if (error.missing) return [`${what}: not on this server`, hint];
  switch (error.status) {
    case 0: return ["No answer", `${error.message} It may be starting or have been stopped.`];
    case 401: return ["A key is needed", `${what}: the server wants an API key with the scope ${scope}.`];
    case 403: return ["Not allowed", `${what}: ${error.message} The scope ${scope} is needed.`];
    case 429: return ["Too much at once", `${error.message} Try again in a moment.`];
    case 503: return ["Not now", error.message];
    default: return [`${what}: this failed`, error.message || String(error)];
  }
}

/** brief is the same in one line, beside the control that failed. */
export function brief(error, what, scope, hint) {
  const [title, text] = explain(error, what, scope, hint);
  return error.status >= 400 && error.status < 500 && !error.missing && error.status !== 401 && error.status !== 403 ? error.message : `${title}. ${text}`;
}
