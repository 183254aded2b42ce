// Live curves of learning: what each update was made of and what it did.

import { get } from "./api.js";
import { Chart } from "./chart.js";
import { Control, learningHint } from "./control.js";
import { curves } from "./curves.js";
import { el } from "./dom.js";
import { notice } from "./notice.js";
import { poll } from "./poll.js";

const pollMilliseconds = 2000;
const maxUpdates = 2000; // kept and drawn; older ones leave
const pageUpdates = 500; // of one answer

/** learningPanel fills the panel. */
export function learningPanel(root) {
  const view = new Learning();
  root.append(view.node);
  return { show: () => view.rounds.start(), hide: () => view.rounds.stop() };
}

class Learning {
  #updates = [];
  #after = 0;

  constructor() {
    this.control = new Control();
    this.message = el("div");
    this.summary = el("p", { class: "meta", role: "status" });
    this.charts = curves.map((curve) => new Chart(curve, (index) => this.#mark(index)));
    this.grid = el("div", { class: "charts", hidden: true }, this.charts.map((chart) => chart.node));
    this.node = el("div", { class: "stack" }, this.control.node, this.message, this.summary, this.grid);
    this.rounds = poll(() => this.#round(), pollMilliseconds);
  }

  async #round() {
    const learns = await this.control.read();
    return (await this.#readUpdates(learns)) && learns;
  }

  /** #readUpdates reads what is new, all pages of it. It says whether to go on asking. */
  async #readUpdates(learns) {
    try {
      for (;;) {
        const { data } = await get(`learning/updates?after=${this.#after}&limit=${pageUpdates}`);
        this.#take(data);
        if (data.length < pageUpdates) break;
      }
      this.message.replaceChildren();
      return true;
    } catch (error) {
      // Where nothing learns, one notice is enough.
      if (learns) this.message.replaceChildren(notice(error, { what: "Curves", scope: "inference", hint: learningHint, retry: () => this.rounds.start() }));
      return !(error.missing || error.status === 401 || error.status === 403);
    }
  }

  #take(data) {
    if (data.length && data.at(-1).id <= this.#after) return; // nothing new: an answer that does not go on would be asked for without end
    this.#after = data.at(-1)?.id ?? this.#after;
    this.#updates = [...this.#updates, ...data].slice(-maxUpdates);
    this.grid.hidden = this.#updates.length === 0;
    this.summary.textContent = this.#sum();
    if (data.length) for (const chart of this.charts) chart.update(this.#updates);
  }

  #sum() {
    if (!this.#updates.length) return "No update yet: curves begin with the first one.";
    const refused = this.#updates.filter((update) => update.state === "rejected");
    const why = refused.at(-1)?.reason ? `; the last because ${refused.at(-1).reason}` : "";
    return `${this.#updates.length} updates to v${this.#updates.at(-1).version}` + (refused.length ? `, ${refused.length} rejected (rings)${why}` : "");
  }

  #mark(index) {
    for (const chart of this.charts) chart.mark(index);
  }
}
