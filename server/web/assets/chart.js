// One small picture of one curve. The whole page of them marks the same update at one time.

import { bounds, nearest } from "./curves.js";
import { el, svg } from "./dom.js";
import { short } from "./format.js";

const [wide, high] = [300, 120]; // of the drawing; it scales with its card
const [left, right, top, bottom] = [52, 8, 8, 16];

/** Chart draws curve over the updates; onMark(index) is called with the update that is pointed at, or -1. */
export class Chart {
  #updates = [];
  #marked = -1;

  constructor(curve, onMark) {
    this.curve = curve;
    this.format = curve.format ?? short;
    this.value = el("output", {});
    this.picture = svg("svg", { viewBox: `0 0 ${wide} ${high}`, class: "chart", tabindex: "0", role: "img" });
    this.picture.addEventListener("pointermove", (event) => onMark(this.#at(event)));
    this.picture.addEventListener("pointerleave", () => onMark(-1));
    this.picture.addEventListener("keydown", (event) => this.#key(event, onMark));
    this.picture.addEventListener("blur", () => onMark(-1));
    this.node = el("figure", { class: "card" }, el("figcaption", {}, el("strong", {}, curve.title), this.value, el("small", {}, curve.about)), this.picture);
  }

  /** update draws anew. */
  update(updates) {
    this.#updates = updates;
    const values = updates.map((update) => update[this.curve.key]);
    const ends = this.curve.evaluated ? updates.filter((u) => u.eval).flatMap((u) => [u.eval.pass_rate - u.eval.error, u.eval.pass_rate + u.eval.error]) : [];
    const [low, high_] = bounds([...values, ...ends]);
    const [first, last] = [updates[0]?.id ?? 0, updates.at(-1)?.id ?? 1];
    this.x = (id) => left + ((wide - left - right) * (id - first)) / Math.max(1, last - first);
    this.y = (value) => top + (high - top - bottom) * (1 - (value - low) / (high_ - low));
    this.picture.replaceChildren(...this.#axes(low, high_), svg("path", { d: this.#line(values), class: "line" }), ...this.#rejected(), ...this.#evaluations());
    this.marker = svg("g", { class: "marker" });
    this.picture.append(this.marker);
    this.mark(Math.min(this.#marked, updates.length - 1));
  }

  #axes(low, high_) {
    const label = (value, y) => svg("text", { x: left - 5, y, class: "axis", "text-anchor": "end" }, this.format(value));
    const ids = this.#updates.length ? [[left, "start", this.#updates[0].version], [wide - right, "end", this.#updates.at(-1).version]] : [];
    return [svg("path", { class: "grid", d: `M${left} ${top} V${high - bottom} H${wide - right}` }), label(high_, top + 8), label(low, high - bottom),
      ...ids.map(([x, anchor, version]) => svg("text", { x, y: high - 3, class: "axis", "text-anchor": anchor }, `v${version}`))];
  }

  /** #line breaks where a value is missing. */
  #line(values) {
    let pen = "M";
    return values.map((value, i) => {
      if (!Number.isFinite(value)) {
        pen = "M";
        return "";
      }
      const step = `${pen}${this.x(this.#updates[i].id).toFixed(1)} ${this.y(value).toFixed(1)}`;
      pen = "L";
      return step;
    }).join("");
  }

  /** #rejected marks updates that were refused before they served. */
  #rejected() {
    return this.#updates.filter((u) => u.state === "rejected" && Number.isFinite(u[this.curve.key]))
      .map((u) => svg("circle", { cx: this.x(u.id), cy: this.y(u[this.curve.key]), r: 3, class: "rejected" }));
  }

  #evaluations() {
    if (!this.curve.evaluated) return [];
    return this.#updates.filter((u) => u.eval).map((u) => {
      const [x, { pass_rate: rate, error }] = [this.x(u.id), u.eval];
      return svg("g", { class: "evaluation" }, svg("path", { d: `M${x - 3} ${this.y(rate - error)} h6 m-3 0 V${this.y(rate + error)} m-3 0 h6` }),
        svg("circle", { cx: x, cy: this.y(rate), r: 3 }));
    });
  }

  /** mark shows one update's value; -1 = the last one's, unmarked. */
  mark(index) {
    this.#marked = index;
    const update = this.#updates[index < 0 ? this.#updates.length - 1 : index];
    const value = update?.[this.curve.key];
    const evaluated = this.curve.evaluated && index >= 0 && update?.eval ? ` · evaluation ${this.format(update.eval.pass_rate)} ± ${this.format(update.eval.error)}` : "";
    this.value.textContent = update ? `${this.format(value)}${index < 0 ? "" : ` at v${update.version}`}${evaluated}` : "–";
    this.picture.setAttribute("aria-label", `${this.curve.title}: ${this.value.textContent}. Left and right arrows go through the updates.`);
    this.marker?.replaceChildren();
    if (index < 0 || !Number.isFinite(value)) return;
    const x = this.x(update.id);
    this.marker.append(svg("path", { d: `M${x} ${top} V${high - bottom}` }), svg("circle", { cx: x, cy: this.y(value), r: 3.5 }));
  }

  #at(event) {
    const box = this.picture.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * wide;
    return nearest(this.#updates.map((update) => this.x(update.id)), x);
  }

  #key(event, onMark) {
    const last = this.#updates.length - 1;
    const from = this.#marked < 0 ? last : this.#marked;
    const to = { ArrowLeft: Math.max(0, from - 1), ArrowRight: Math.min(last, from + 1), Home: 0, End: last, Escape: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    onMark(to);
  }
}
