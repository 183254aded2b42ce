// Search trees: those of the server, or of a file that `astro search` wrote. A file stays in this browser.

import { get } from "./api.js";
import { el, field } from "./dom.js";
import { notice } from "./notice.js";
import { checkTree, maxFileBytes, parseTrees, solved } from "./treefile.js";
import { TreeView } from "./treeview.js";

const hint = "This server keeps no search trees. Open a file of trees instead: `astro search` writes one.";

/** treesPanel fills the panel. */
export function treesPanel(root) {
  const view = new Trees();
  root.append(view.node);
  return { show: () => view.load() };
}

class Trees {
  #fromFile = false;

  constructor() {
    const file = el("input", { type: "file", accept: ".jsonl,.json,.ndjson" });
    file.addEventListener("change", () => file.files[0] && this.#read(file.files[0]));
    this.message = el("div");
    this.list = el("ul", { class: "picker", "aria-label": "Trees" });
    this.content = el("div", { class: "card" }, el("p", { class: "empty" }, "Choose a tree."));
    this.split = el("div", { class: "split trees", hidden: true }, el("div", { class: "card" }, this.list), this.content);
    const again = el("button", { onclick: () => ((this.#fromFile = false), this.load()) }, "Those of the server");
    this.node = el("div", { class: "stack" }, el("div", { class: "card row bottom" }, field("File of trees (JSONL)", file), again), this.message, this.split);
  }

  async load() {
    if (this.#fromFile) return;
    try {
      const { data } = await get("trees?limit=100");
      if (this.#fromFile) return; // a file was opened while the server was asked
      this.message.replaceChildren(...(data.length ? [] : [el("p", { class: "empty" }, "The server has no trees yet.")]));
      this.#list(data, (entry) => get(`trees/${encodeURIComponent(entry.id)}`));
    } catch (error) {
      this.split.hidden = true;
      this.message.replaceChildren(notice(error, { what: "Search trees", scope: "inference", hint, retry: () => this.load() }));
    }
  }

  async #read(file) {
    try {
      if (file.size > maxFileBytes) throw new Error("The file is larger than 128 MiB: take some of its lines.");
      const { trees, torn, left } = parseTrees(await file.text());
      this.#fromFile = true;
      const notes = [`${file.name}: ${trees.length} trees`, torn && "its last line is torn and left out", left && `${left} more are left out`];
      this.message.replaceChildren(el("p", { class: "meta", role: "status" }, notes.filter(Boolean).join("; ")));
      this.#list(trees.map((tree) => ({ id: tree.id, problem: tree.problem, nodes: tree.nodes.length, solved: solved(tree), tree })), (entry) => entry.tree);
    } catch (error) {
      this.message.replaceChildren(el("div", { class: "notice", role: "alert" }, el("h2", {}, "The file cannot be shown"), el("p", {}, error.message)));
    }
  }

  #list(entries, open) {
    this.split.hidden = entries.length === 0;
    const buttons = entries.map((entry) => {
      const tag = el("span", { class: `tag ${entry.solved ? "good" : "bad"}` }, entry.solved ? "solved" : "not solved");
      return el("button", { class: "quiet", onclick: () => this.#open(buttons, button(entry), entry, open) },
        el("span", { class: "text" }, entry.problem || entry.id), el("small", {}, `${entry.nodes} nodes`), tag);
    });
    const button = (entry) => buttons[entries.indexOf(entry)];
    this.list.replaceChildren(...buttons.map((one) => el("li", {}, one)));
    buttons[0]?.click();
  }

  async #open(buttons, chosen, entry, open) {
    for (const one of buttons) one.setAttribute("aria-current", String(one === chosen));
    try {
      const tree = checkTree(await open(entry));
      if (chosen.getAttribute("aria-current") !== "true") return; // another was chosen in between
      this.content.replaceChildren(el("h2", {}, tree.problem || tree.id), new TreeView(tree).node);
    } catch (error) {
      this.content.replaceChildren(el("p", { class: "failure", role: "alert" }, error.message));
    }
  }
}
