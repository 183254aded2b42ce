// The conversation: what was said, the next message, stop. One reply at a time.

import { APIError, stream } from "./api.js";
import { el } from "./dom.js";
import { countdownPrompt, examplesFor, isCountdown } from "./examples.js";
import { fillModels } from "./models.js";
import { brief, notice } from "./notice.js";
import { Reply } from "./reply.js";
import { chatSettings } from "./settings.js";

const nearBottomPixels = 80; // a reader who is further up is left where they are

/** chatPanel fills the panel. open shows another one. */
export function chatPanel(root, { open }) {
  const talk = new Talk(open);
  root.append(talk.node);
  return { show: () => talk.loadModels() };
}

class Talk {
  #messages = []; // of the conversation so far, as the API takes them
  #stop = null; // AbortController of the reply that is being written

  constructor(open) {
    this.openGraph = (text, problem) => open("graph", { text, problem });
    this.settings = chatSettings();
    this.settings.model.addEventListener("change", () => this.#showExamples());
    this.trouble = el("div");
    this.log = el("div", { class: "log", tabindex: "0", role: "log", "aria-label": "Conversation", "aria-live": "off" });
    this.status = el("p", { class: "visually-hidden", role: "status" });
    this.examples = el("div", { class: "examples" });
    this.input = el("textarea", { rows: "2", "aria-label": "Message", placeholder: "Write a message", maxlength: "1000000" });
    this.send = el("button", { class: "primary" }, "Send");
    this.halt = el("button", { type: "button", hidden: true, onclick: () => this.#stop?.abort() }, "Stop");
    const fresh = el("button", { type: "button", class: "quiet", onclick: () => this.#reset() }, "New conversation");
    const form = el("form", { class: "composer" }, this.input, el("div", { class: "row end" }, fresh, this.halt, this.send));
    form.addEventListener("submit", (event) => (event.preventDefault(), this.#say()));
    this.input.addEventListener("keydown", (event) => this.#key(event, form));
    const aside = el("details", { class: "card options", open: window.matchMedia("(min-width: 800px)").matches },
      el("summary", {}, "Settings"), this.settings.node);
    this.node = el("div", { class: "chat" }, aside,
      el("div", { class: "talk card" }, this.trouble, this.log, this.examples, form, this.status));
  }

  /** #key sends with Enter and stops with Escape; Shift+Enter is a new line, and so is Enter that ends a composition. */
  #key(event, form) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key === "Escape") {
      this.#stop?.abort();
    }
  }

  async loadModels() {
    try {
      await fillModels(this.settings.model);
      this.settings.model.disabled = false;
      this.trouble.replaceChildren();
    } catch (error) {
      this.trouble.replaceChildren(notice(error, { what: "Models", scope: "inference", hint: "Is this an astro server?", retry: () => this.loadModels() }));
    }
    this.#showExamples();
  }

  #showExamples() {
    const model = this.settings.model.value;
    this.examples.hidden = this.#messages.length > 0 || !model;
    const intro = isCountdown(model) ? "The numbers game: use every number once to reach the target. Try" : "Try";
    this.examples.replaceChildren(el("p", {}, intro), ...examplesFor(model).map((text) =>
      el("button", { type: "button", class: "example", onclick: () => this.#say(text) }, text)));
  }

  #reset() {
    this.#stop?.abort();
    this.#messages = [];
    this.log.replaceChildren();
    this.settings.setMode("chat");
    this.#showExamples();
    this.input.focus();
  }

  async #say(text = this.input.value) {
    if (!text.trim() || this.#stop) return;
    let chosen;
    try {
      chosen = this.settings.values();
    } catch (error) {
      this.status.textContent = error.message;
      return;
    }
    const messages = [...this.#messages, { role: "user", content: text }];
    const reply = new Reply();
    this.#stop = new AbortController();
    this.#busy(true);
    this.examples.hidden = true;
    this.log.append(el("article", { class: "message mine", "aria-label": "You" }, el("p", { class: "text" }, text)), reply.node);
    this.input.value = "";
    const outcome = await this.#draw(reply, messages, chosen);
    reply.finish({ ...outcome, model: chosen.model, question: text, openGraph: this.openGraph });
    // A failed turn leaves no trace in what is sent next; a stopped one keeps what was said.
    if (!outcome.failure && this.log.contains(reply.node)) this.#messages = [...messages, { role: "assistant", content: reply.text }];
    if (outcome.failure) this.input.value ||= text;
    this.#stop = null;
    this.#busy(false);
    this.#follow(true);
  }

  /** #draw asks and shows. A model without a chat template is asked to continue the text instead, from then on. */
  async #draw(reply, messages, chosen) {
    try {
      await this.#read(reply, messages, chosen);
      return {};
    } catch (error) {
      if (this.#stop.signal.aborted) return { stopped: true };
      if (!(error instanceof APIError)) return { failure: String(error) };
      if (error.code === "no_chat_template" && chosen.mode === "chat") {
        this.settings.setMode("text");
        return this.#draw(reply, messages, { ...chosen, mode: "text" });
      }
      return { failure: brief(error, "Chat", "inference", "This server answers no chats.") };
    }
  }

  async #read(reply, messages, chosen) {
    const body = { model: chosen.model, stream: true, stream_options: { include_usage: true }, temperature: chosen.temperature, max_tokens: chosen.tokens };
    const text = chosen.mode === "text";
    const last = messages.at(-1).content;
    if (text) body.prompt = isCountdown(chosen.model) ? countdownPrompt(last) : last;
    else body.messages = chosen.system ? [{ role: "system", content: chosen.system }, ...messages] : messages;
    this.#follow(true);
    for await (const chunk of stream(text ? "v1/completions" : "v1/chat/completions", body, this.#stop.signal)) {
      const follow = this.#atEnd();
      reply.take(chunk);
      if (follow) requestAnimationFrame(() => this.#follow(true));
    }
  }

  #atEnd() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < nearBottomPixels;
  }

  #follow(wanted) {
    if (wanted) this.log.scrollTop = this.log.scrollHeight;
  }

  #busy(busy) {
    this.send.hidden = busy;
    this.halt.hidden = !busy;
    this.status.textContent = busy ? "The model is answering." : "The reply is complete.";
  }
}
