// What the learning loop does now, with its buttons. It stands above the curves and above the versions.

import { get, post } from "./api.js";
import { confirm } from "./dialogs.js";
import { el } from "./dom.js";
import { short } from "./format.js";
import { notice } from "./notice.js";

/** learningHint says how to switch learning on. */
export const learningHint = "This server does not learn. `astro serve --learn countdown` starts one that does.";

const tones = { running: "good", paused: "warn", failed: "bad", off: "" };
const phases = { gather: "drawing rollouts", score: "scoring", learn: "learning", check: "checking", publish: "publishing", wait: "waiting" };

/** Control shows GET /learning. read() asks anew and returns the state, or null where there is none. */
export class Control {
  constructor() {
    this.text = el("p", { class: "facts", role: "status" });
    this.buttons = [this.#button("pause", "Pause", "Pause learning? Serving goes on with the version that serves now."),
      this.#button("resume", "Resume"), this.#button("step", "One step")];
    this.failure = el("p", { class: "failure", role: "alert" });
    this.bar = el("div", { class: "card row learning", hidden: true }, this.text, el("div", { class: "row push" }, this.buttons), this.failure);
    this.message = el("div");
    this.node = el("div", {}, this.bar, this.message);
  }

  async read() {
    try {
      this.#show(await get("learning"));
      this.message.replaceChildren();
      return true;
    } catch (error) {
      this.bar.hidden = true;
      this.message.replaceChildren(notice(error, { what: "Learning", scope: "inference", hint: learningHint, retry: () => this.read() }));
      return !(error.missing || error.status === 401 || error.status === 403);
    }
  }

  #show(state) {
    this.bar.hidden = false;
    const facts = [el("span", { class: `tag ${tones[state.state] ?? ""}` }, state.state)];
    const fact = (name, value) => facts.push(el("span", {}, el("small", {}, name), ` ${value}`));
    if (state.source) fact("source", state.source);
    if (state.state === "running" && state.phase) fact("now", `${phases[state.phase] ?? state.phase}, ${short(state.phase_seconds)} s`);
    fact("step", state.step);
    fact("serving", `v${state.serving}`);
    if (state.candidates?.length) fact("waiting for promote", state.candidates.map((version) => `v${version}`).join(", "));
    if (state.feedback) fact("feedback", `${state.feedback.stored} kept, ${state.feedback.used} used, ${state.feedback.waiting} waiting`);
    this.text.replaceChildren(...facts, state.reason ? el("span", { class: "failure" }, state.reason) : "");
    const able = { pause: state.state === "running", resume: state.state === "paused" || state.state === "failed", step: state.state === "paused" };
    for (const button of this.buttons) button.disabled = !able[button.value];
  }

  #button(action, label, question) {
    return el("button", { value: action, onclick: async () => {
      if (question && !(await confirm(label, question, label))) return;
      try {
        this.#show(await post(`learning/${action}`));
        this.failure.textContent = "";
      } catch (error) {
        this.failure.textContent = error.status === 403 || error.status === 401 ? `${label}: a key with the scope admin is needed.` : error.message;
      }
    } }, label);
  }
}
