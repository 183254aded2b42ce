"""Golden numbers of whole updates, from rewards to the gradient with respect to log-probabilities: what TestGoldenObjective wants.

    python make_objective.py      (needs numpy; writes objective.json beside this file)

Every formula is written here as its paper has it, in float64 and one answer after the other; nothing is packed. The analytic gradients
are compared with central differences before anything is written.

objective.json: groups of answers {rewards, lengths}; for each token of all answers, one after the other, its log-probability now, as it
was drawn (behaviour), before the step (before) and under the reference; cases: settings, the groups that have contrast (kept), their
advantages, and for each token its weight in the loss and the gradient; 0 for tokens of groups that are left out.
"""
import itertools
import json
import pathlib

import numpy as np

LOW, HIGH, DUAL, CAP, MAX_TOKENS, BUFFER, PROMPTS, GROUP = 0.2, 0.28, 1.5, 2.0, 6, 3, 4, 3
# The third group has contrast only where lengths count, the fourth never.
groups = [([1, -1, -1], [1, 4, 6]), ([0.5, -1, 1], [2, 5, 3]), ([1, 1], [6, 2]), ([-1, -1, -1], [3, 2, 1])]
lengths = [l for _, ls in groups for l in ls]
ends = np.cumsum(lengths)
spans = [slice(end - l, end) for end, l in zip(ends, lengths)]
group_of = [g for g, (_, ls) in enumerate(groups) for _ in ls]
n = int(ends[-1])

rng = np.random.default_rng(2)
behaviour = -rng.exponential(1.5, n)
before = behaviour + rng.normal(0, 0.45, n)
now = before + rng.normal(0, 0.3, n)
for span in spans:
    now[span] += rng.normal(0, 0.3)  # so that some answers are clipped as a whole
now[0] = before[0] = behaviour[0]  # nothing changed
now, behaviour, before = (np.round(x, 4) for x in (now, behaviour, before))
reference = np.round(now + rng.normal(0, 0.5, n), 4)
importance = np.minimum(CAP, np.exp(before - behaviour))


def shaped(rewards, ls, overlong):
    """DAPO eq. 13: 0, then (L_max - L_cache - |y|) / L_cache."""
    if not overlong:
        return np.array(rewards, float)
    return np.array([r + (0 if l <= MAX_TOKENS - BUFFER else ((MAX_TOKENS - BUFFER) - l) / BUFFER) for r, l in zip(rewards, ls)])


def advantages(rewards, scale, leave_one_out):
    """Of the groups that are kept."""
    every = np.concatenate(rewards)
    out = []
    for r in rewards:
        a = r - r.mean()
        if leave_one_out:
            a = np.array([r[i] - np.delete(r, i).mean() for i in range(len(r))])
        out.append(a / {"none": 1, "group": r.std(ddof=1) + 1e-6, "batch": every.std(ddof=1) + 1e-6}[scale])
    return out


def weigh(kept, norm):
    """What each token's term is multiplied by."""
    mine = [i for i in range(len(spans)) if group_of[i] in kept]
    w = np.zeros(n)
    for i in mine:
        w[spans[i]] = {"tokens": 1 / sum(lengths[j] for j in mine), "sequences": 1 / len(mine) / lengths[i], "constant": 1 / (PROMPTS * GROUP * MAX_TOKENS)}[norm]
    return w


def surrogate(ratio, a, dual):
    """min(ratio A, clip(ratio) A), with the dual clip; and its slope in ratio."""
    clipped = np.clip(ratio, 1 - LOW, 1 + HIGH)
    gain = np.minimum(ratio * a, clipped * a)
    slope = np.where((ratio == clipped) | (ratio * a < clipped * a), a, 0)
    if dual:
        slope = np.where((a < 0) & (gain < dual * a), 0, slope)
        gain = np.where(a < 0, np.maximum(gain, dual * a), gain)
    return gain, slope


def loss(kind, dual, kl, x, a, old, weights, fixed):
    """The loss at log-probabilities x, its gradient, and which tokens are clipped; sg(...) is computed at fixed."""
    gain, grad, cut = np.zeros(n), np.zeros(n), np.zeros(n, bool)
    for span in spans:
        if kind == "cispo":
            coefficient = np.clip(np.exp(fixed[span] - old[span]), 1 - LOW, 1 + HIGH)
            gain[span] = coefficient * a[span] * x[span]
            grad[span] = -weights[span] * coefficient * a[span]
            cut[span] = coefficient != np.exp(fixed[span] - old[span])
        elif kind == "gspo":
            s = np.exp(np.mean(x[span] - old[span]))
            gain[span], slope = surrogate(s, a[span], 0)
            grad[span] = -np.sum(weights[span] * slope) * s / len(x[span])
            cut[span] = (slope == 0) & (a[span] != 0)
        else:
            ratio = np.exp(x[span] - old[span])
            gain[span], slope = surrogate(ratio, a[span], dual)
            grad[span] = -weights[span] * slope * ratio
            cut[span] = (slope == 0) & (a[span] != 0)
    d = reference - x
    return np.sum(weights * (-gain + kl * (np.exp(d) - d - 1))), grad - weights * kl * (np.exp(d) - 1), cut


def case(kind, dual, kl, norm, scale, leave_one_out=False, tis=False, overlong=False):
    rewards = [shaped(r, l, overlong) for r, l in groups]
    kept = [g for g, r in enumerate(rewards) if np.any(r != r[0])]
    found = advantages([rewards[g] for g in kept], scale, leave_one_out)
    a = np.zeros(n)
    for span, x in zip([s for i, s in enumerate(spans) if group_of[i] in kept], np.concatenate(found)):
        a[span] = x
    old, weights = (before, weigh(kept, norm)) if tis else (behaviour, weigh(kept, norm))
    a = a * importance if tis else a
    value, grad, cut = loss(kind, dual, kl, now, a, old, weights, now)
    for i in range(n):
        h = np.zeros(n)
        h[i] = 1e-6
        up, down = (loss(kind, dual, kl, now + s * h, a, old, weights, now)[0] for s in (1, -1))
        assert abs(grad[i] - (up - down) / 2e-6) < 1e-8, (kind, dual, kl, norm, i, grad[i], (up - down) / 2e-6)
    signs = {int(s) for s in np.sign(a[cut & (weights > 0)])}
    assert signs >= {1, -1}, (kind, "too little is clipped", signs)
    number = lambda x: float(f"{x:.10g}")
    return {"objective": {"Kind": kind, "ClipLow": LOW, "ClipHigh": HIGH, "DualClip": dual, "KL": kl, "Staleness": {"TIS": CAP if tis else 0}},
            "norm": norm, "scale": scale, "leave_one_out": leave_one_out, "overlong": "shape" if overlong else "fail", "kept": kept,
            "advantages": [[number(x) for x in g] for g in found], "loss": number(value), "clipped": int(np.sum(cut & (weights > 0))),
            "weights": [number(x) for x in weights], "gradient": [number(x) for x in grad]}


# No number may lie so near a kink that rounding decides.
for old in (behaviour, before):
    ratios = list(np.exp(now - old)) + [np.exp(np.mean(now[s] - old[s])) for s in spans]
    assert min(abs(r - k) for r in ratios for k in (1 - LOW, 1 + HIGH, DUAL)) > 1e-3
assert np.sum(importance == CAP) > 1

cases = []
for (kind, dual), kl in itertools.product([("clip", 0), ("clip", DUAL), ("gspo", 0), ("cispo", 0)], [0, 0.1]):
    for norm, scale in itertools.product(["tokens", "sequences", "constant"], ["none", "group", "batch"]):
        cases.append(case(kind, dual, kl, norm, scale))
    cases.append(case(kind, dual, kl, "tokens", "none", leave_one_out=True))
    cases.append(case(kind, dual, kl, "tokens", "none", tis=True))
    cases.append(case(kind, dual, kl, "tokens", "none", overlong=True))
    cases.append(case(kind, dual, kl, "sequences", "batch", leave_one_out=True, tis=True, overlong=True))

head = {"max_tokens": MAX_TOKENS, "buffer_tokens": BUFFER, "prompts": PROMPTS, "group": GROUP, "groups": [{"rewards": r, "lengths": l} for r, l in groups],
        "now": now.tolist(), "behaviour": behaviour.tolist(), "before": before.tolist(), "reference": reference.tolist(),
        "importance": importance.tolist()}
text = json.dumps(head)[:-1] + ',\n"cases": [\n' + ",\n".join(json.dumps(c) for c in cases) + "\n]}\n"
(pathlib.Path(__file__).parent / "objective.json").write_text(text)
