// Reads a file of search trees (docs/formats/tree.md) into the form in which the server lists them. Pure.

export const maxFileBytes = 128 << 20; // a browser holds the file and its objects
export const maxFileTrees = 2000;

/** parseTrees reads JSONL. A torn last line is left out, as every reader of the format does; anything else that is wrong throws an
 * Error that names the line. */
export function parseTrees(text) {
  const lines = text.split("\n");
  const torn = lines.pop() !== "";
  if (torn && lines.length === 0) throw new Error("The file has no complete line: it is no file of trees.");
  const trees = lines.slice(0, maxFileTrees).map((line, index) => {
    try {
      return readTree(JSON.parse(line));
    } catch (error) {
      throw new Error(`Line ${index + 1} is no search tree: ${error.message}`);
    }
  });
  return { trees, torn, left: Math.max(0, lines.length - maxFileTrees) };
}

function readTree(record) {
  if (record?.format !== 1) throw new Error(`its format is ${JSON.stringify(record?.format)}, and 1 is known`);
  if (!record.id || !Array.isArray(record.nodes) || record.nodes.length === 0) throw new Error("it has no id or no nodes");
  const nodes = record.nodes.map((node, id) => ({ id, parent: node.parent ?? 0, text: node.text ?? "", visits: node.visits ?? 0, value: node.q ?? 0,
    terminal: node.terminal ?? false, correct: node.correct ?? false, answer: node.answer, reason: node.reason }));
  return checkTree({ id: record.id, problem: record.problem ?? "", nodes });
}

/** checkTree makes sure that the root is first and every parent comes before its children, so that walking it ends. */
export function checkTree(tree) {
  const seen = new Set();
  tree.nodes.forEach((node, index) => {
    if (index === 0 ? node.parent !== -1 : !seen.has(node.parent)) throw new Error(`node ${index} has the parent ${node.parent}`);
    seen.add(node.id);
  });
  return tree;
}

/** solved says that some terminal is right. */
export const solved = (tree) => tree.nodes.some((node) => node.terminal && node.correct);
