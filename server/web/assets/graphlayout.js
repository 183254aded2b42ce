// Where the parts of a reasoning graph stand: one row a node, in the order of the text, so that reading down is reading the answer.
// Going on to the next row is a straight line; going on from further up (a new try) bends around the left; going back around the
// right. Pure: numbers in, numbers out.

export const rowPixels = 46;
export const maxDrawnNodes = 1500; // beyond it a drawing says nothing; the JSON has all

const boxPixels = 32;
const leftPixels = 40; // room for new tries
const rightPixels = 66; // room for returns
const indentPixels = 22; // of reflections
const backward = new Set(["return", "restart"]);

/** layout places nodes and edges in the given width in pixels. Edges to nodes that are not there are left out. */
export function layout(graph, width) {
  const boxes = graph.nodes.slice(0, maxDrawnNodes).map((node, row) => place(node, row, width));
  const rows = new Map(boxes.map((box) => [box.id, box]));
  const edges = graph.edges.filter((edge) => rows.has(edge.from) && rows.has(edge.to)).map((edge) => route(edge, rows.get(edge.from), rows.get(edge.to)));
  return { width, height: boxes.length * rowPixels + 8, boxes, edges, left: graph.nodes.length - boxes.length };
}

function place(node, row, width) {
  const indent = node.kind === "reflection" ? indentPixels : 0;
  const x = leftPixels + indent;
  return { ...node, id: node.id ?? row, row, x, y: row * rowPixels + 6, width: Math.max(60, width - x - rightPixels), height: boxPixels };
}

/** route is an edge's path; long ways bend further out, up to the room that there is. */
function route(edge, from, to) {
  const span = Math.abs(from.row - to.row);
  const back = backward.has(edge.kind) || to.row <= from.row;
  const middle = (box) => box.y + box.height / 2;
  let path;
  if (back) {
    const x = from.x + from.width;
    const bend = Math.min(rightPixels - 14, 18 + span * 5);
    const [end, reach] = [to.x + to.width, x + (bend * 4) / 3];
    path = `M${x} ${middle(from)} C${reach} ${middle(from)} ${reach} ${middle(to)} ${end + 2} ${middle(to)}`;
  } else if (span === 1) {
    const x = Math.max(from.x, to.x) + 16;
    path = `M${x} ${from.y + from.height} L${x} ${to.y - 2}`;
  } else {
    const reach = Math.min(from.x, to.x) - (Math.min(leftPixels - 12, 10 + span * 2) * 4) / 3;
    path = `M${from.x} ${middle(from)} C${reach} ${middle(from)} ${reach} ${middle(to)} ${to.x - 2} ${middle(to)}`;
  }
  return { ...edge, path, back };
}
