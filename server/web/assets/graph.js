// The reasoning of a reply as a graph: which steps, where it reflected, where it went back.

import { post } from "./api.js";
import { download, el, field } from "./dom.js";
import { draw, nameOf } from "./graphdraw.js";
import { layout } from "./graphlayout.js";
import { notice } from "./notice.js";

const hint = "This server draws no graphs. `astro graph --in answer.txt --out answer.svg` draws one of a file.";
const detailCharacters = 20_000; // shown of one node
const problemCharacters = 4000; // that the server reads of what was asked

/** graphPanel fills the panel; show(text) draws that text's graph. */
export function graphPanel(root) {
  const view = new GraphView();
  root.append(view.node);
  return { show: (answer) => answer !== undefined && view.read(answer.text, answer.problem) };
}

class GraphView {
  #text = "";
  #problem = "";
  #graph = null;
  #width = 0;

  constructor() {
    this.input = el("textarea", { rows: "3", maxlength: "1000000", placeholder: "Paste an answer, or press Reasoning below a reply." });
    this.message = el("div", {}, el("p", { class: "empty" }, "No graph yet: press Reasoning below a reply of the chat, or paste a text above."));
    this.summary = el("p", { class: "meta", role: "status" });
    this.canvas = el("div", { class: "canvas" });
    this.detail = el("div", { class: "card detail", "aria-live": "polite" });
    this.json = el("button", { onclick: () => this.#saveJSON() }, "JSON");
    this.dot = el("button", { onclick: () => this.#saveDOT() }, "DOT");
    const form = el("form", { class: "source" }, field("Text of an answer", this.input), el("div", { class: "row end" }, el("button", { class: "primary" }, "Draw")));
    form.addEventListener("submit", (event) => (event.preventDefault(), this.read(this.input.value)));
    this.tools = el("div", { class: "row", hidden: true }, this.summary, legend(), el("span", { class: "row push" }, "Download", this.json, this.dot));
    this.drawing = el("div", { class: "split drawing", hidden: true }, el("div", { class: "card" }, this.canvas), this.detail);
    this.node = el("div", { class: "stack" }, el("details", { class: "card", open: true }, el("summary", {}, "Text"), form), this.message, this.tools, this.drawing);
    new ResizeObserver(() => this.#draw()).observe(this.canvas);
  }

  /** read asks the server for a text's graph and draws it. */
  async read(text, problem = "") {
    if (!text.trim()) return this.input.focus();
    this.#text = this.input.value = text;
    this.#problem = problem.slice(0, problemCharacters);
    this.message.replaceChildren(el("p", { class: "empty" }, "Reading the text…"));
    try {
      this.#graph = await post("reasoning/graph", { text, problem: this.#problem, format: "json" });
      this.message.replaceChildren();
    } catch (error) {
      this.#graph = null;
      this.message.replaceChildren(notice(error, { what: "Reasoning graphs", scope: "inference", hint, retry: () => this.read(text, problem) }));
    }
    this.#width = 0;
    this.tools.hidden = this.drawing.hidden = !this.#graph;
    this.node.querySelector("details").open = !this.#graph;
    this.#draw();
  }

  #draw() {
    const width = Math.min(680, Math.floor(this.canvas.clientWidth));
    if (!this.#graph || width < 100 || width === this.#width) return;
    this.#width = width;
    const plan = layout(this.#graph, width);
    this.canvas.replaceChildren(draw(plan, (node, edges) => this.#show(node, edges)));
    const { nodes, edges, returns } = this.#graph;
    const back = returns ?? edges.filter((edge) => edge.kind === "return" || edge.kind === "restart").length;
    const rest = plan.left > 0 ? `; the first ${plan.boxes.length} are drawn` : "";
    this.summary.textContent = `${nodes.length} nodes, ${back} ${back === 1 ? "return" : "returns"}${rest}`;
    this.#show(plan.boxes[0], plan.edges.filter((edge) => edge.from === plan.boxes[0]?.id));
  }

  #show(node, edges) {
    if (!node) return;
    const facts = [];
    if (node.state) facts.push(el("dt", {}, "State"), el("dd", {}, node.state));
    if (node.mark) facts.push(el("dt", {}, "Judged"), el("dd", { class: node.mark }, node.mark === "good" ? "good" : "not good"));
    for (const edge of edges.filter((edge) => edge.back && edge.from === node.id)) {
      facts.push(el("dt", {}, "Goes back"), el("dd", {}, `to ${this.#row(edge.to)}${edge.guessed ? " (guessed)" : ""}${edge.text ? `: ${edge.text}` : ""}`));
    }
    for (const edge of edges.filter((edge) => edge.back && edge.to === node.id && edge.from !== node.id)) {
      facts.push(el("dt", {}, "Returned to"), el("dd", {}, `from ${this.#row(edge.from)}`));
    }
    this.detail.replaceChildren(el("h2", {}, `${nameOf(node)} ${node.row + 1}`), el("p", { class: "text" }, node.text.slice(0, detailCharacters)), el("dl", {}, facts));
  }

  #row(id) {
    return 1 + this.#graph.nodes.findIndex((node, index) => (node.id ?? index) === id);
  }

  #saveJSON() {
    download("reasoning.json", JSON.stringify(this.#graph, null, 2) + "\n", "application/json");
  }

  async #saveDOT() {
    try {
      const { dot } = await post("reasoning/graph", { text: this.#text, problem: this.#problem, format: "dot" });
      download("reasoning.dot", dot, "text/vnd.graphviz");
    } catch (error) {
      this.message.replaceChildren(notice(error, { what: "DOT", scope: "inference", hint }));
    }
  }
}

function legend() {
  return el("span", { class: "legend", "aria-hidden": "true" }, ["step", "reflection", "answer", "return"].map((kind) => el("span", { class: kind }, kind)));
}
