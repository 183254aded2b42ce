"""Golden numbers of the KTO objective, from the article's own form of it: what TestGoldenObjective wants.

    python make_golden.py      (needs numpy; writes golden.json beside this file)

Values v are written here as lambda sigmoid(...) and the loss as the mean of lambda - v; slopes are central differences of that loss in each
r, with z held fixed, so that no derivative is written twice.
"""
import json
import pathlib

import numpy as np

rng = np.random.default_rng(1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def baseline(r, outcome):
    """z of each label: the mean of r over its level, not below 0."""
    z = np.zeros(2)
    for level in (0, 1):
        if (outcome == level).any():
            z[level] = max(0, r[outcome == level].mean())
    return z


def balanced(good, outcome, desirable, undesirable):
    """lambda of each label, such that both kinds of a level weigh the same together; at most eight times what is wanted."""
    weights = np.where(good, desirable, undesirable).astype(float)
    for level in (0, 1):
        there = outcome == level
        kinds = [there & good, there & ~good]
        if min(k.sum() for k in kinds) > 0:
            for k in kinds:
                weights[k] *= min(8, there.sum() / 2 / k.sum())
    return weights


def loss(r, z, good, outcome, beta, weights):
    z0 = z[outcome]
    v = weights * np.where(good, sigmoid(beta * (r - z0)), sigmoid(beta * (z0 - r)))
    return np.mean(weights - v)


def case(n, beta, desirable, undesirable, shift, outcomes, balance=False, share=0.4):
    r = np.round(rng.normal(shift, 2, n), 4)
    good = rng.random(n) < share
    outcome = (rng.random(n) < outcomes).astype(int)
    z = baseline(r, outcome)
    weights = balanced(good, outcome, desirable, undesirable) if balance else np.where(good, desirable, undesirable)
    slopes, h = [], 1e-5
    for i in range(n):
        up, down = r.copy(), r.copy()
        up[i] += h
        down[i] -= h
        slopes.append((loss(up, z, good, outcome, beta, weights) - loss(down, z, good, outcome, beta, weights)) / (2 * h))
    return {"objective": {"Beta": beta, "Good": desirable, "Bad": undesirable, "Balance": balance}, "r": r.tolist(), "good": good.tolist(),
            "outcome": (outcome == 1).tolist(), "z": z.tolist(), "loss": float(loss(r, z, good, outcome, beta, weights)), "slopes": slopes}


cases = [
    case(12, 0.1, 1, 1, 0.5, 0.3),  # both z above 0, or near it
    case(12, 0.1, 1, 1, -1, 0.3),  # the policy gives its answers less than the reference did: z is 0
    case(9, 0.5, 1.5, 1, 1, 0.5),  # good labels weigh more
    case(9, 2, 0, 1, 0.3, 0.5),  # bad ones alone
    case(7, 1, 1, 0.25, 2, 0),  # steps alone
    case(1, 1, 1, 1, 3, 1),
    case(30, 0.5, 1, 0.5, 1, 0.4, True),  # both levels have both kinds
    case(40, 0.5, 1, 1, 1, 0, True, 0.03),  # the weight of the good ones is bounded
    case(9, 0.5, 1, 1, 1, 0.5, True, 0),  # all are bad: nothing to balance
]
path = pathlib.Path(__file__).parent / "golden.json"
path.write_text(json.dumps(cases, indent=1) + "\n")
