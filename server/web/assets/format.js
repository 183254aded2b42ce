// Numbers and times as people read them. Pure.

/** short writes a number in about five characters: 1.2k, 140.5, 0.42, 1.0e-7. */
export function short(x) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  const size = Math.abs(x);
  if (size === 0) return "0";
  if (size >= 1e6) return `${(x / 1e6).toFixed(1)}M`;
  if (size >= 10_000) return `${(x / 1e3).toFixed(1)}k`;
  if (size >= 100) return x.toFixed(Number.isInteger(x) ? 0 : 1);
  if (size >= 1) return Number.isInteger(x) ? String(x) : x.toFixed(2);
  if (size >= 0.001) return String(Number(x.toPrecision(3)));
  return x.toExponential(1);
}

/** percent writes a share: 41.3 %. */
export const percent = (x) => (Number.isFinite(x) ? `${(x * 100).toFixed(1)} %` : "–");

/** when writes Unix seconds in the reader's own manner. */
export function when(seconds) {
  if (!seconds) return "–";
  return new Date(seconds * 1000).toLocaleString(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}

/** clip cuts a text to so many characters, with an ellipsis. */
export function clip(text, characters) {
  const one = text.replace(/\s+/g, " ").trim();
  return one.length > characters ? `${one.slice(0, Math.max(1, characters - 1))}…` : one;
}
