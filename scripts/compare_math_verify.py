"""Our verdicts beside those of math-verify 0.9: agreement, false positives and false negatives of both, in one table.

usage: compare_math_verify.py VERDICTS.jsonl [--disagreements OUT.jsonl] [--timeout SECONDS]
needs: an environment of its own, not in CI:
         python3 -m venv .cache/math-verify
         .cache/math-verify/bin/pip install math-verify==0.9.0 antlr4-python3-runtime==4.13.2

VERDICTS.jsonl has a row per case with the fields gold, answer (or response), equal (the label, may be missing) and correct
(our verdict); tier groups the rows of the table, response says that the answer is running text. Such a file is written by
  VERDICTS=$PWD/verdicts.jsonl go test -count 1 -run TestWriteVerdicts ./training/reward/
and by `astro grade --jsonl`. Bare golds and answers are put between dollar signs for math-verify, as its README asks,
and where that gives false into a box.
OUT.jsonl receives the rows on which the two differ.
"""
import argparse
import json
import logging
import re
from collections import defaultdict

from math_verify import parse, verify

logging.disable(logging.CRITICAL)


def parsed(text, seconds):
    return parse(text, parsing_timeout=seconds)


def math_verify(gold, answer, running_text, seconds):
    """True when math-verify takes the answer for right. A failure or a timeout of it is False."""
    ways = [(answer, "${}$")] if running_text else [(bare(answer), "${}$"), (bare(answer), "\\boxed{{{}}}")]
    for text, form in ways:
        g = gold if formula_signs(gold) else form.format(bare(gold))
        a = text if running_text or formula_signs(text) else form.format(text)
        try:
            if verify(parsed(g, seconds), parsed(a, seconds), timeout_seconds=seconds):
                return True
        except Exception:
            continue
    return False


def bare(text):
    return " ".join(text.split())


def formula_signs(text):
    return re.search(r"(?<!\\)\$|\\boxed|\\\(|\\\[", text) is not None


def row_of(counts):
    n, labelled = counts["rows"], counts["labelled"]
    share = f"{100 * counts['agree'] / n:6.2f}%"
    cells = [counts["our_fp"], counts["our_fn"], counts["their_fp"], counts["their_fn"]]
    return f"{n:6d} {share:>9} {labelled:9d}" + "".join(f"{c:9d}" for c in cells)


def count(counts, label, ours, theirs):
    counts["rows"] += 1
    counts["agree"] += ours == theirs
    if label is None:
        return
    counts["labelled"] += 1
    counts["our_fp"] += ours and not label
    counts["our_fn"] += label and not ours
    counts["their_fp"] += theirs and not label
    counts["their_fn"] += label and not theirs


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("verdicts")
    args.add_argument("--disagreements", metavar="OUT.jsonl")
    args.add_argument("--timeout", type=int, default=5)
    args = args.parse_args()
    tiers = defaultdict(lambda: defaultdict(int))
    differing = []
    with open(args.verdicts) as lines:
        for row in map(json.loads, lines):
            answer = row.get("response") if isinstance(row.get("response"), str) else row["answer"]
            running_text = bool(row.get("response"))
            theirs = math_verify(row["gold"], answer, running_text, args.timeout)
            for tier in (row.get("tier", "all"), "TOTAL"):
                count(tiers[tier], row.get("equal"), row["correct"], theirs)
            if theirs != row["correct"]:
                differing.append(dict(row, math_verify=theirs))
    print(f"{'tier':<22}{'rows':>6} {'agreement':>9} {'labelled':>9}{'our FP':>9}{'our FN':>9}{'their FP':>9}{'their FN':>9}")
    for tier in sorted(tiers, key=lambda t: (t == "TOTAL", t)):
        print(f"{tier:<22}{row_of(tiers[tier])}")
    if args.disagreements:
        with open(args.disagreements, "w") as out:
            for row in differing:
                out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
