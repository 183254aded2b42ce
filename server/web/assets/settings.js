// How a reply is drawn: model, system prompt, temperature, length. Empty fields are left to the server.

import { el, field } from "./dom.js";

/** chatSettings makes the fields; values() reads them, or throws an Error that says which one is wrong. */
export function chatSettings() {
  const model = el("select", { disabled: true }, el("option", { value: "" }, "…"));
  const mode = el("select", {}, el("option", { value: "chat" }, "Conversation"), el("option", { value: "text" }, "Plain text"));
  const system = el("textarea", { rows: "3", maxlength: "100000", placeholder: "none" });
  const temperature = el("input", { type: "number", min: "0", max: "2", step: "0.1", placeholder: "default" });
  const tokens = el("input", { type: "number", min: "1", max: "1000000", step: "1", placeholder: "to the end" });
  const systemField = field("System prompt", system);
  const modeField = field("Send as", mode, "Plain text continues what you write, for models without a chat template.");
  const setMode = (value) => {
    mode.value = value;
    systemField.hidden = value === "text";
  };
  mode.addEventListener("change", () => setMode(mode.value));
  const node = el("div", { class: "settings" }, field("Model", model), el("div", { class: "pair" }, field("Temperature", temperature), field("Max tokens", tokens)),
    systemField, modeField);
  const values = () => ({ model: model.value, mode: mode.value, system: system.value.trim(), temperature: number(temperature, "Temperature"),
    tokens: number(tokens, "Max tokens") });
  return { node, model, values, setMode };
}

function number(input, name) {
  if (!input.checkValidity()) {
    input.focus();
    throw new Error(`${name}: ${input.validationMessage}`);
  }
  return input.value === "" ? undefined : Number(input.value);
}
