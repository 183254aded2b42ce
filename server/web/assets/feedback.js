// What the reader thinks of a reply: right, wrong, or the correct answer, which the server grades. A second thought replaces the first.

import { post, randomID } from "./api.js";
import { el, field } from "./dom.js";
import { isCountdown } from "./examples.js";
import { icon } from "./icons.js";
import { brief } from "./notice.js";

const graders = [["math", "mathematics"], ["numeric", "a number"], ["string_check", "the same text"], ["countdown", "numbers game"]];
const hint = "The server keeps no feedback; its operator can switch the feedback store on (docs/OPERATIONS.md).";

/** feedbackControls are the buttons below a reply. of says { id, model, question } of its completion. */
export function feedbackControls(of) {
  let voted = false;
  const status = el("span", { class: "status", role: "status" });
  const right = el("button", { class: "quiet vote", "aria-pressed": "false", title: "Right", "aria-label": "This reply is right" }, icon("up"));
  const wrong = el("button", { class: "quiet vote", "aria-pressed": "false", title: "Wrong", "aria-label": "This reply is wrong" }, icon("down"));

  async function send(what, pressed) {
    status.textContent = "Sending…";
    try {
      const kept = await post("v1/feedback", { completion_id: of.id, choice: 0, rater: "page", idempotency_key: randomID(), supersede: voted, ...what });
      voted = true;
      for (const button of [right, wrong]) button.setAttribute("aria-pressed", String(button === pressed));
      status.textContent = thanks(kept);
    } catch (error) {
      status.textContent = brief(error, "Feedback", "feedback", hint);
    }
  }
  right.addEventListener("click", () => send({ verdict: "correct" }, right));
  wrong.addEventListener("click", () => send({ verdict: "incorrect" }, wrong));
  return { buttons: [right, wrong], form: answerForm(of, (what) => send(what, null)), status };
}

/** thanks says what the server made of it: after grading, the reward is news. */
function thanks(kept) {
  const verdict = kept.reward > 0 ? "right" : kept.reward < 0 ? "wrong" : "neither right nor wrong";
  return kept.duplicate ? "Already known." : `Kept: ${verdict} (reward ${kept.reward}).`;
}

function answerForm(of, send) {
  const game = isCountdown(of.model);
  const answer = el("input", { type: "text", maxlength: "10000", autocomplete: "off", value: game ? of.question : "" });
  const grader = el("select", {}, graders.map(([value, label]) => el("option", { value, selected: value === (game ? "countdown" : "math") }, label)));
  const form = el("form", { class: "grading" },
    field(game ? "Problem or correct answer" : "Correct answer", answer), field("Compared as", grader), el("button", {}, "Grade it"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (answer.value.trim()) send({ grader: { type: grader.value }, answer: answer.value.trim() });
    else answer.focus();
  });
  return el("details", {}, el("summary", {}, "Correct answer"), form);
}
