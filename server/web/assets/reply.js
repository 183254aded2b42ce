// One reply in the conversation: its text as it grows, what it took, and what can be done with it.

import { el } from "./dom.js";
import { feedbackControls } from "./feedback.js";
import { short } from "./format.js";
import { icon } from "./icons.js";

const ends = { stop: "", length: "cut at the token limit", content_filter: "stopped by a filter", aborted: "stopped" };

/** Reply shows one answer. Text arrives faster than a screen changes, so it is put there once a frame. */
export class Reply {
  text = "";
  id = "";
  #pending = "";
  #frame = 0;
  #begin = performance.now();
  #first = 0;
  #chunks = 0;
  #usage = null;
  #version = "";

  constructor() {
    this.body = el("p", { class: "text" });
    this.meta = el("p", { class: "meta" }, "Waiting for the first token…");
    this.actions = el("div", { class: "actions" });
    this.node = el("article", { class: "message reply", "aria-label": "Reply", "aria-busy": "true" }, this.body, this.meta, this.actions);
  }

  /** take reads one chunk of a chat or of a text completion. */
  take(chunk) {
    this.id = chunk.id ?? this.id;
    this.#usage = chunk.usage ?? this.#usage;
    this.#version = /-(v\d+)$/.exec(chunk.system_fingerprint ?? "")?.[1] ?? this.#version;
    const choice = chunk.choices?.[0];
    this.end = choice?.finish_reason ?? this.end;
    const text = choice?.delta?.content ?? choice?.text ?? "";
    if (!text) return;
    this.#first ||= performance.now();
    this.#chunks++;
    this.text += text;
    this.#pending += text;
    this.#frame ||= requestAnimationFrame(() => this.#flush());
  }

  #flush() {
    this.#frame = 0;
    const text = this.body.hasChildNodes() ? this.#pending : this.#pending.trimStart();
    if (text) this.body.append(text); // append makes a text node
    this.#pending = "";
  }

  /** finish ends the reply: stopped by the reader, failed with a message, or complete. */
  finish({ stopped = false, failure = "", model, question, openGraph }) {
    cancelAnimationFrame(this.#frame);
    this.#flush();
    this.node.setAttribute("aria-busy", "false");
    const facts = [model + (this.#version && !model.includes("@") ? ` ${this.#version}` : ""), ...this.#timing(), stopped ? "stopped by you" : ends[this.end] ?? this.end];
    this.meta.textContent = facts.filter(Boolean).join(" · ");
    if (failure) this.node.append(el("p", { class: "failure", role: "alert" }, failure));
    if (this.text) this.#offer(stopped || failure, { id: this.id, model, question }, openGraph);
  }

  /** latency as the reader met it; the first token's time holds the queue and the prompt. */
  #timing() {
    if (!this.#first) return [];
    const tokens = this.#usage?.completion_tokens ?? this.#chunks;
    const seconds = (performance.now() - this.#first) / 1000;
    const rate = tokens > 1 && seconds > 0 ? [`${short((tokens - 1) / seconds)} tokens/s`] : [];
    return [`first token after ${Math.round(this.#first - this.#begin)} ms`, `${tokens} tokens`, ...rate];
  }

  /** #offer adds the buttons. What was cut off by the reader is no completion that could be judged. */
  #offer(cut, of, openGraph) {
    const graph = el("button", { class: "quiet", onclick: () => openGraph(this.text, of.question) }, icon("graph"), "Reasoning");
    if (cut || !this.id) {
      this.actions.append(graph);
      return;
    }
    const { buttons, form, status } = feedbackControls(of);
    this.actions.append(...buttons, graph, form, status);
  }
}
