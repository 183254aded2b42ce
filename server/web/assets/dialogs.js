// Questions that stop what was going on: a confirmation, the API key.

import { el, field } from "./dom.js";
import { apiKey, setKey } from "./session.js";

/** open shows a modal dialog and resolves with the value of the button that closed it, "" for Escape. The last button is
 * the one for Enter. */
function open(title, content, buttons) {
  return new Promise((resolve) => {
    const heading = el("h2", { id: "dialog-title" }, title);
    // Enter submits with a form's first submit button, so the last one, which is what was asked for, is the only one.
    const actions = buttons.map(({ label, value }, i) => (i === buttons.length - 1
      ? el("button", { class: "primary" }, label)
      : el("button", { type: "button", onclick: () => dialog.close(value) }, label)));
    const form = el("form", { method: "dialog" }, heading, content, el("div", { class: "row end" }, actions));
    const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, form);
    form.addEventListener("submit", (event) => { // by hand: the policy forbids that forms go anywhere
      event.preventDefault();
      dialog.close(buttons.at(-1).value);
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** confirm asks before something that others will notice. extra is more content, such as a number to choose. */
export async function confirm(title, text, action, extra = null) {
  const answer = await open(title, [el("p", {}, text), extra], [{ label: "Cancel", value: "" }, { label: action, value: "yes" }]);
  return answer === "yes";
}

/** askKey lets the user enter or forget the API key. */
export async function askKey() {
  const input = el("input", { type: "password", autocomplete: "off", spellcheck: "false", value: apiKey() });
  const hint = "Kept until this tab is closed, and sent to this server only. `astro keys create` makes one.";
  const answer = await open("API key", field("Key", input, hint),
    [{ label: "Forget", value: "forget" }, { label: "Cancel", value: "" }, { label: "Use it", value: "use" }]);
  if (answer === "use") setKey(input.value);
  if (answer === "forget") setKey("");
}
