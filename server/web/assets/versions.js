// Versions of the policy: which one serves, how each did, and the calls that change it.

import { get, post } from "./api.js";
import { Control } from "./control.js";
import { confirm } from "./dialogs.js";
import { el, field } from "./dom.js";
import { percent, when } from "./format.js";
import { notice } from "./notice.js";
import { poll } from "./poll.js";

const pollMilliseconds = 5000;
const hint = "This server has one version and keeps no list. Versions come with learning: `astro serve --learn countdown`.";
const tones = { serving: "good", loaded: "", stored: "", rejected: "warn", bad: "bad" };

/** versionsPanel fills the panel. */
export function versionsPanel(root) {
  const view = new Versions();
  root.append(view.node);
  return { show: () => view.rounds.start(), hide: () => view.rounds.stop() };
}

class Versions {
  #shown = "";

  constructor() {
    this.control = new Control();
    this.message = el("div");
    this.failure = el("p", { class: "failure", role: "alert" });
    this.summary = el("p", { class: "meta", role: "status" });
    this.body = el("tbody");
    const heads = ["Version", "State", "Evaluation", "Made", "Reason", "Actions"];
    this.table = el("div", { class: "card table", hidden: true }, el("table", {},
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))), this.body));
    this.node = el("div", { class: "stack" }, this.control.node, this.message, this.failure, this.summary, this.table);
    this.rounds = poll(() => this.#round(), pollMilliseconds);
  }

  async #round() {
    const learns = await this.control.read();
    return (await this.#read()) || learns;
  }

  async #read() {
    try {
      const list = await get("v1/policies");
      this.message.replaceChildren();
      this.#show(list);
      return true;
    } catch (error) {
      this.table.hidden = true;
      this.message.replaceChildren(notice(error, { what: "Versions", scope: "inference", hint, retry: () => this.rounds.start() }));
      return !(error.missing || error.status === 401 || error.status === 403);
    }
  }

  /** #show draws the table only if something changed, so that the focus stays where it is. */
  #show(list) {
    if (JSON.stringify(list) === this.#shown && !this.table.hidden) return;
    this.#shown = JSON.stringify(list);
    this.table.hidden = false;
    const canary = list.canary ? `; v${list.canary.version} answers ${list.canary.percent} % of requests as canary` : "";
    this.summary.textContent = `v${list.serving} serves${canary}`;
    const newest = [...list.data].sort((a, b) => b.version - a.version);
    this.body.replaceChildren(...newest.map((policy) => this.#row(policy, list)));
  }

  #row(policy, list) {
    const cell = (head, ...content) => el("td", { "data-head": head }, content);
    const canary = list.canary?.version === policy.version;
    const evaluation = policy.eval ? `${percent(policy.eval.pass_rate)} ± ${percent(policy.eval.error)}` : "–";
    return el("tr", { class: policy.state === "serving" ? "serving" : null },
      el("th", { scope: "row", title: policy.id }, `v${policy.version}`, policy.parent ? el("small", {}, ` from v${policy.parent}`) : ""),
      cell("State", el("span", { class: `tag ${tones[policy.state] ?? ""}` }, policy.state), policy.waiting && el("span", { class: "tag warn" }, "waits for promote"), canary && el("span", { class: "tag warn" }, `canary ${list.canary.percent} %`)),
      cell("Evaluation", evaluation), cell("Made", when(policy.created)), cell("Reason", policy.reason || "–"), cell("Actions", this.#actions(policy, list)));
  }

  /** #actions: a newer version is promoted, an older one rolled back to; what was rejected or found bad is left alone. Where candidates wait, the served one can have them given up. */
  #actions(policy, list) {
    if (policy.version === list.serving && !list.data.some((other) => other.waiting)) return el("span", { class: "quiet" }, "serves now");
    if (policy.version === list.serving) return el("button", { onclick: () => this.#giveUp(policy) }, "Give up candidates");
    if (policy.state === "rejected" || policy.state === "bad") return "–";
    const back = policy.version < list.serving;
    const main = back
      ? el("button", { onclick: () => this.#change(policy, "rollback", "Roll back") }, "Roll back")
      : el("button", { onclick: () => this.#change(policy, "promote", "Promote") }, "Promote");
    return el("div", { class: "row" }, main, el("button", { onclick: () => this.#canary(policy) }, "Canary"));
  }

  async #change(policy, action, label) {
    const text = `v${policy.version} will answer every new request. Running replies end on the version that they began with.`;
    if (await confirm(`${label} ${action === "rollback" ? "to " : ""}v${policy.version}?`, text, label)) await this.#send(policy, action);
  }

  async #giveUp(policy) {
    const text = `What waits is marked bad, and learning goes on from v${policy.version}, which serves on.`;
    if (await confirm("Give up candidates?", text, "Give up")) await this.#send(policy, "rollback");
  }

  async #canary(policy) {
    const share = el("input", { type: "number", min: "0", max: "100", step: "1", value: "10", required: true });
    const text = `v${policy.version} will answer this share of new requests.`;
    if (await confirm(`v${policy.version} as canary?`, text, "Start", field("Percent of requests", share))) {
      if (share.checkValidity()) await this.#send(policy, "canary", { percent: Number(share.value) });
      else this.failure.textContent = "The share is a whole number from 0 to 100.";
    }
  }

  async #send(policy, action, body) {
    try {
      await post(`v1/policies/${policy.version}/${action}`, body);
      this.failure.textContent = "";
    } catch (error) {
      const admin = error.status === 401 || error.status === 403;
      this.failure.textContent = admin ? "A key with the scope admin is needed to change what serves. Enter one at the top." : error.message;
    }
    this.rounds.start();
  }
}
