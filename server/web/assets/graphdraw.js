// Draws a laid out reasoning graph. Only texts are the model's; everything else is ours.

import { arrows, svg } from "./dom.js";
import { clip } from "./format.js";

const characterPixels = 6.7; // of the drawing's font, on average
const names = { problem: "Problem", step: "Step", reflection: "Reflection", answer: "Answer" };

/** draw makes the picture; onShow gets a node that is pointed at or focused, and the edges that touch it. */
export function draw(plan, onShow) {
  const edges = plan.edges.map((edge) => svg("path", { d: edge.path, class: `edge ${edge.back ? "back" : edge.kind}`, "marker-end": `url(#${edge.back ? "tip-back" : "tip"})` }));
  const nodes = plan.boxes.map((box) => drawNode(box));
  const show = (index) => {
    const id = plan.boxes[index].id;
    plan.edges.forEach((edge, i) => edges[i].classList.toggle("lit", edge.from === id || edge.to === id));
    nodes.forEach((node, i) => node.classList.toggle("lit", i === index));
    onShow(plan.boxes[index], plan.edges.filter((edge) => edge.from === id || edge.to === id));
  };
  nodes.forEach((node, index) => {
    node.setAttribute("tabindex", index === 0 ? "0" : "-1");
    node.addEventListener("pointerenter", () => show(index));
    node.addEventListener("focus", () => show(index));
    node.addEventListener("click", () => node.focus());
    node.addEventListener("keydown", (event) => arrows(event, nodes));
  });
  const title = `Reasoning graph: ${plan.boxes.length} nodes. Arrow keys go from one to the next.`;
  return svg("svg", { viewBox: `0 0 ${plan.width} ${plan.height}`, width: plan.width, height: plan.height, class: "graph", role: "group", "aria-label": title },
    svg("defs", {}, tip("tip"), tip("tip-back")), edges, nodes);
}

function tip(id) {
  return svg("marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" },
    svg("path", { d: "M0 1 L8 4 L0 7 Z" }));
}

function drawNode(box) {
  const room = Math.floor((box.width - 44) / characterPixels);
  const label = `${names[box.kind] ?? box.kind} ${box.row + 1}: ${box.text}`;
  return svg("g", { class: `node ${box.kind} ${box.mark ?? ""}`, role: "img", "aria-label": label },
    svg("rect", { x: box.x, y: box.y, width: box.width, height: box.height, rx: box.kind === "reflection" ? box.height / 2 : 6 }),
    svg("text", { x: box.x + 12, y: box.y + 21, class: "number" }, String(box.row + 1)),
    svg("text", { x: box.x + 36, y: box.y + 21 }, clip(box.text, room)));
}

/** nameOf is a node's kind as a word. */
export const nameOf = (node) => names[node.kind] ?? node.kind;
