"""Golden numbers of GRPO's formulas, from the papers' own form of them: what TestGoldenTerms, TestGoldenAdvantages and TestGoldenNorms want.

    python make_golden.py      (needs numpy; writes golden.json beside this file)

The terms are written here as min(ratio A, clip(ratio) A) and so on; the Go code says the same by cases.
"""
import json
import pathlib

import numpy as np

rng = np.random.default_rng(1)
n = 24
now = np.round(-rng.exponential(1.5, n), 4)
behaviour = np.round(now + rng.normal(0, 0.4, n), 4)
behaviour[:3] = now[:3]  # nothing learned yet: ratio 1
behaviour[3] = now[3] - 3  # far outside, both signs of A
behaviour[4] = now[4] - 3
behaviour[5] = now[5] + 3
advantage = np.round(rng.normal(0, 1, n), 3)
advantage[3], advantage[4], advantage[5], advantage[6] = -1, 1, -1, 0
reference = np.round(now + rng.normal(0, 0.5, n), 4)


def terms(low, high, dual, kl):
    ratio = np.exp(now - behaviour)
    surrogate = np.minimum(ratio * advantage, np.clip(ratio, 1 - low, 1 + high) * advantage)
    if dual:
        surrogate = np.where(advantage < 0, np.maximum(surrogate, dual * advantage), surrogate)
    d = reference - now
    return -surrogate + kl * (np.exp(d) - d - 1)


def stats(low, high, dual, kl):
    log_ratio = now - behaviour
    ratio = np.exp(log_ratio)
    up, down = (advantage >= 0) & (ratio > 1 + high), (advantage < 0) & (ratio < 1 - low)
    cut = up | down | ((advantage < 0) & (ratio > dual) if dual else False)
    d = reference - now
    return {"clipped": cut.mean(), "kl": (ratio - 1 - log_ratio).mean(), "ratio": ratio.max(), "gap": np.abs(log_ratio).max(),
            "reference_kl": (np.exp(d) - d - 1).mean()}


objectives = [(0.2, 0.28, 0, 0), (0.2, 0.2, 0, 0), (0.1, 0.5, 3, 0), (0.2, 0.28, 0, 0.1), (0.2, 0.28, 2, 0.5)]

groups = [[1, -1, -1, -1], [1, 1, 1, 1], [0.5, -1, 1], [-1, -1], [0.25, 0.75, -0.5, 1, -1]]


def advantages(scale, leave_one_out):
    everything = np.concatenate([np.array(g, float) for g in groups])
    out = []
    for g in groups:
        r = np.array(g, float)
        if leave_one_out:
            a = np.array([r[i] - np.delete(r, i).mean() for i in range(len(r))])
        else:
            a = r - r.mean()
        if np.all(r == r[0]):
            a = np.zeros(len(r))
        elif scale == "group":
            a = a / (r.std(ddof=1) + 1e-6)
        elif scale == "batch":
            a = a / (everything.std(ddof=1) + 1e-6)
        out.append(a.tolist())
    return out


lengths, full, longest = [3, 7, 1, 5], 8, 10
values = [rng.normal(0, 1, l).round(3) for l in lengths]
norms = {
    "tokens": np.concatenate(values).sum() / sum(lengths),
    "sequences": np.mean([v.mean() for v in values]),
    "constant": np.concatenate(values).sum() / (full * longest),
}

golden = {
    "now": now.tolist(), "behaviour": behaviour.tolist(), "advantage": advantage.tolist(), "reference": reference.tolist(),
    "objectives": [{"objective": {"ClipLow": o[0], "ClipHigh": o[1], "DualClip": o[2], "KL": o[3]}, "terms": terms(*o).tolist(),
                    "stats": {k: float(v) for k, v in stats(*o).items()}} for o in objectives],
    "groups": groups,
    "advantages": [{"scale": s, "leave_one_out": l, "advantages": advantages(s, l)} for s in ("none", "group", "batch") for l in (False, True)],
    "norms": {"values": [v.tolist() for v in values], "full": full, "longest": longest, "means": norms},
}
path = pathlib.Path(__file__).parent / "golden.json"
path.write_text(json.dumps(golden, indent=1) + "\n")
