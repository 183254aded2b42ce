// One search tree, to be opened and closed. Rows are made only of what is open: a tree may have 65,536 nodes.

import { el } from "./dom.js";

const maxRows = 2000; // shown at one time

/** TreeView shows a tree of { problem, nodes }. */
export class TreeView {
  #children = new Map(); // id -> nodes
  #byID = new Map();
  #open = new Set();

  constructor(tree) {
    this.tree = tree;
    for (const node of tree.nodes) {
      this.#byID.set(node.id, node);
      this.#children.set(node.id, []);
      this.#children.get(node.parent)?.push(node);
    }
    this.list = el("div", { role: "tree", class: "tree", "aria-label": `Search tree of ${tree.problem}` });
    this.list.addEventListener("keydown", (event) => this.#key(event));
    this.list.addEventListener("click", (event) => this.#click(event));
    this.note = el("p", { class: "meta", role: "status" });
    const button = (label, act) => el("button", { onclick: () => (act(), this.#draw()) }, label);
    const tools = el("div", { class: "row" }, button("Paths to right answers", () => this.#openRight()), button("Open all", () => this.#openAll()),
      button("Close all", () => (this.#open = new Set([tree.nodes[0].id]))), this.note);
    this.node = el("div", { class: "stack" }, tools, this.list);
    this.#openRight();
    this.#draw();
  }

  /** #openRight opens the way to every right terminal; without one, the root. */
  #openRight() {
    this.#open = new Set([this.tree.nodes[0].id]);
    for (const node of this.tree.nodes) {
      if (!(node.terminal && node.correct)) continue;
      for (let up = this.#byID.get(node.parent); up; up = this.#byID.get(up.parent)) this.#open.add(up.id);
    }
  }

  #openAll() {
    for (const node of this.tree.nodes) this.#open.add(node.id);
  }

  /** #visible lists the open rows from the top, at most maxRows, without recursion: a tree may be as deep as it has nodes. */
  #visible() {
    const rows = [];
    const stack = [{ node: this.tree.nodes[0], level: 1, position: 1, size: 1 }];
    while (stack.length && rows.length < maxRows) {
      const row = stack.pop();
      rows.push(row);
      const children = this.#open.has(row.node.id) ? this.#children.get(row.node.id) : [];
      for (let i = children.length - 1; i >= 0; i--) stack.push({ node: children[i], level: row.level + 1, position: i + 1, size: children.length });
    }
    return { rows, cut: stack.length > 0 };
  }

  #draw(focused) {
    const { rows, cut } = this.#visible();
    const most = Math.max(1, this.tree.nodes[0].visits);
    this.list.replaceChildren(...rows.map((row) => this.#row(row, most)));
    const chosen = [...this.list.children].find((node) => node.dataset.id === focused) ?? this.list.firstElementChild;
    chosen.tabIndex = 0;
    if (focused !== undefined) chosen.focus();
    const ends = this.tree.nodes.filter((node) => node.terminal);
    this.note.textContent = `${this.tree.nodes.length} nodes, ${ends.filter((node) => node.correct).length} of ${ends.length} ends right` +
      (cut ? `; only ${maxRows} open rows are shown` : "");
  }

  #row({ node, level, position, size }, most) {
    const inner = this.#children.get(node.id).length > 0;
    const open = this.#open.has(node.id);
    const verdict = node.terminal ? (node.correct ? "right" : "wrong") : "";
    const row = el("div", { role: "treeitem", class: `node ${verdict}`, tabindex: "-1", "data-id": node.id, "aria-level": level, "aria-posinset": position,
      "aria-setsize": size, "aria-expanded": inner ? String(open) : null, title: node.reason ? `${node.reason}${node.answer ? `: ${node.answer}` : ""}` : null },
      el("span", { class: "twisty", "aria-hidden": "true" }, inner ? (open ? "▾" : "▸") : "·"),
      el("span", { class: "text" }, node.text.trim() || (node.parent === -1 ? this.tree.problem : "(empty step)")),
      verdict && el("span", { class: `tag ${verdict === "right" ? "good" : "bad"}` }, verdict),
      el("meter", { min: 0, max: 1, value: node.visits / most, "aria-hidden": "true" }),
      el("span", { class: "figures" }, `${node.visits} visits · value ${node.value.toFixed(2)}`));
    row.style.setProperty("--level", Math.min(level - 1, 40));
    return row;
  }

  #toggle(id) {
    if (!this.#open.delete(id)) this.#open.add(id);
  }

  #click(event) {
    const row = event.target.closest("[role=treeitem]");
    if (!row) return;
    const node = this.#nodeOf(row);
    this.#toggle(node.id);
    this.#draw(row.dataset.id);
  }

  #nodeOf(row) {
    return this.tree.nodes.find((node) => String(node.id) === row.dataset.id);
  }

  /** #key follows the usual keys of a tree: right opens or goes in, left closes or goes out. */
  #key(event) {
    const rows = [...this.list.children];
    const row = event.target.closest("[role=treeitem]");
    const at = rows.indexOf(row);
    if (at < 0) return;
    const node = this.#nodeOf(row);
    const expanded = row.getAttribute("aria-expanded");
    let to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (event.key === "ArrowRight" && expanded === "true") to = at + 1;
    if (event.key === "ArrowLeft" && expanded !== "true") to = rows.findIndex((other) => other.dataset.id === String(node.parent));
    const toggles = event.key === "Enter" || event.key === " " || (event.key === "ArrowRight" && expanded === "false") || (event.key === "ArrowLeft" && expanded === "true");
    if (!toggles && to === undefined) return;
    event.preventDefault();
    if (toggles && expanded !== null) {
      this.#toggle(node.id);
      this.#draw(row.dataset.id);
    } else if (rows[to]) {
      row.tabIndex = -1;
      rows[to].tabIndex = 0;
      rows[to].focus();
    }
  }
}
