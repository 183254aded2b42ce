// Makes elements. Text is only ever set as text: what a model wrote is data, never markup.

const svgSpace = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** el makes an HTML element; an attribute "onclick" with a function is a listener, false and null leave one out. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** svg makes an SVG element in the same way. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(svgSpace, tag), attributes, children);
}

let labels = 0;

/** field is a control with its label above it. */
export function field(label, control, hint = "") {
  control.id ||= `field-${++labels}`;
  return el("div", { class: "field" }, el("label", { for: control.id }, label), control, hint && el("small", {}, hint));
}

/** arrows moves among nodes that share one tab stop: the focused one has it. Returns true where the key was such a key. */
export function arrows(event, nodes, previous = "ArrowUp", next = "ArrowDown") {
  const at = nodes.indexOf(event.target.closest("[tabindex], button"));
  const to = { [previous]: at - 1, [next]: at + 1, Home: 0, End: nodes.length - 1 }[event.key];
  if (at < 0 || to === undefined || !nodes[to]) return false;
  event.preventDefault();
  nodes[at].tabIndex = -1;
  nodes[to].tabIndex = 0;
  nodes[to].focus();
  return true;
}

/** download offers text as a file. */
export function download(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000); // the browser has begun to read by then
}
