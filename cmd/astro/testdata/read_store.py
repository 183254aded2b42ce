#!/usr/bin/env python3
"""Reads a feedback store with Python's own sqlite3, as docs/formats/feedback-store.md says, and compares it with an export.

Usage: read_store.py STORE < EXPORT.jsonl
Needs: Python 3.8 or later, nothing else.
Writes: a line with counts; fails where a row's checksum is wrong or the two differ.
"""
import json
import sqlite3
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def row_sum(row):
    """The checksum of a row's fields in the order of the table, without seq, crc and body_sha256."""
    data = b""
    for name in row.keys():
        value = row[name]
        if name in ("seq", "crc", "body_sha256"):
            continue
        if value is None:
            data += struct.pack("<I", 0xFFFFFFFF)
        elif isinstance(value, int):
            data += struct.pack("<q", value)
        elif isinstance(value, float):
            data += struct.pack("<d", value)
        else:
            value = value.encode() if isinstance(value, str) else value
            data += struct.pack("<I", len(value)) + value
    return max(crc32c(data), 1)


def main():
    exported = {"completion": {}, "feedback": {}, "tree": {}}
    for text in sys.stdin:
        line = json.loads(text)
        exported[line["type"]][line["id"] if line["type"] == "tree" else line["seq"]] = line
    db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    for row in db.execute("SELECT * FROM completions"):
        assert row_sum(row) == row["crc"], f"completion {row['id']}: checksum"
        line = exported["completion"].pop(row["seq"])
        ids, n = row["token_ids"], len(row["token_ids"]) // 4
        assert list(struct.unpack(f"<{n}i", ids)) == line["token_ids"]
        assert list(struct.unpack(f"<{n}f", row["logprobs"])) == [struct.unpack("<f", struct.pack("<f", x))[0] for x in line["logprobs"]]
        assert row["prompt_text"] == line["prompt"] and row["output_text"] == line["completion"]
    for row in db.execute("SELECT * FROM feedback"):
        assert row_sum(row) == row["crc"], f"feedback {row['id']}: checksum"
        assert row["reward"] == exported["feedback"].pop(row["seq"])["reward"]
    for row in db.execute("SELECT * FROM trees"):
        assert row_sum(row) == row["crc"], f"tree {row['id']}: checksum"
        assert json.loads(row["tree"]) == exported["tree"].pop(row["id"])["tree"]
    assert not any(exported.values())
    counts = [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("completions", "feedback", "trees")]
    print("{} completions, {} feedback, {} trees, as exported".format(*counts))


main()
