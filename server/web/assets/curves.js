// Which curves there are, and what they mean: one entry a small picture, in the order of the page. Pure.

import { percent, short } from "./format.js";

const seconds = (x) => `${short(x)} s`;

/** curves: key is the member of an update; evaluated = evaluations of held-out problems are drawn into it, too. */
export const curves = [
  { key: "reward", title: "Reward", about: "mean over the update's rollouts" },
  { key: "pass_rate", title: "Pass rate", about: "share of rollouts that are right; points are evaluations with their error", format: percent, evaluated: true },
  { key: "length", title: "Length", about: "tokens of a rollout, mean" },
  { key: "backtracks", title: "Backtracks", about: "returns in a rollout, mean" },
  { key: "entropy", title: "Entropy", about: "of the next token's distribution, nats" },
  { key: "clipped", title: "Clip fraction", about: "share of tokens whose ratio was clipped", format: percent },
  { key: "kl", title: "KL", about: "to the policy before the update, nats a token" },
  { key: "gap", title: "Log-prob gap", about: "largest difference between sampler and trainer for the same token" },
  { key: "ratio", title: "Ratio", about: "largest ratio of probabilities, new to old" },
  { key: "grad_norm", title: "Gradient norm", about: "before clipping" },
  { key: "loss", title: "Loss", about: "of the update" },
  { key: "staleness", title: "Staleness", about: "versions between drawing and learning, mean" },
  { key: "mixed", title: "Contrast", about: "share of groups that are neither all right nor all wrong", format: percent },
  { key: "tokens_per_second", title: "Tokens per second", about: "drawn while gathering" },
  { key: "gather_seconds", title: "Gathering time", about: "seconds to draw the rollouts", format: seconds },
  { key: "learn_seconds", title: "Learning time", about: "seconds for the gradient and the step", format: seconds },
  { key: "swap_ms", title: "Swap latency", about: "milliseconds in which no step could begin", format: (x) => `${short(x)} ms` },
];

/** bounds are the ends of an axis that shows all values; a flat curve gets some air. */
export function bounds(values) {
  const known = values.filter(Number.isFinite);
  if (known.length === 0) return [0, 1];
  let [low, high] = [Infinity, -Infinity];
  for (const x of known) [low, high] = [Math.min(low, x), Math.max(high, x)];
  const air = high > low ? (high - low) * 0.06 : Math.abs(high) * 0.1 || 1;
  const floor = low >= 0 && low - air < 0 ? 0 : low - air; // what cannot be negative does not look so
  return [floor, high + air];
}

/** nearest is the index of the value that is closest to x in a rising list, -1 of an empty one. */
export function nearest(list, x) {
  let best = -1;
  list.forEach((value, index) => {
    if (best < 0 || Math.abs(value - x) < Math.abs(list[best] - x)) best = index;
  });
  return best;
}
