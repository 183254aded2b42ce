// Pictures of buttons, drawn in the color of the text beside them.

import { svg } from "./dom.js";

const paths = {
  up: "M7 11v9H3v-9zM7 11l4-8c1.7 0 3 1.3 3 3l-1 4h6c1.2 0 2 1 1.8 2.2l-1.4 6.4A1.8 1.8 0 0 1 17.6 20H7",
  down: "M17 13V4h4v9zM17 13l-4 8c-1.7 0-3-1.3-3-3l1-4H5c-1.2 0-2-1-1.8-2.2l1.4-6.4A1.8 1.8 0 0 1 6.4 4H17",
  graph: "M12 5v4M12 9l-5 5M12 9l5 5M12 3v2M7 14v4M17 14v4M4 18h6v3H4zM14 18h6v3h-6zM9 2h6v3H9z",
};

/** icon draws one of the pictures; what it means is said by its button. */
export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, svg("path", { d: paths[name] }));
}
