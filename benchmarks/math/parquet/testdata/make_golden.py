"""Parquet files that the reader is tested with, written by pyarrow, and the rows that are in them.

usage: make_golden.py        (writes beside itself)
needs: pyarrow

rows.json            the rows
<codec>-v<page version>-<dictionary|plain>.parquet    the same rows, in two row groups of several pages each, beside a column
                     of lists that the reader leaves out
"""
import itertools
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

here = pathlib.Path(__file__).parent
words = ["two", "three", "five", "a longer text, a longer text, a longer text, again and again", "", "\u221a2 \\boxed{7}"]
rows = []
for i in range(80):
    row = {"id": i - 3, "text": words[i * i % len(words)] + ("!" * (i % 7)), "score": i / 4, "even": i % 2 == 0}
    if i % 5 != 0:
        row["maybe"] = words[i % len(words)]
    if i % 3 == 0:
        row["small"] = i * 7
    rows.append(row)
schema = pa.schema([
    pa.field("id", pa.int64(), nullable=False), pa.field("text", pa.string(), nullable=False), pa.field("score", pa.float64()),
    pa.field("even", pa.bool_()), pa.field("maybe", pa.string()), pa.field("small", pa.int32()), pa.field("tags", pa.list_(pa.string())),
])
table = pa.Table.from_pylist([dict(r, tags=["a", "b"]) for r in rows], schema=schema)
for compression, version, dictionary in itertools.product(["none", "snappy", "gzip"], ["1.0", "2.0"], [True, False]):
    name = f"{compression}-v{version[0]}-{'dictionary' if dictionary else 'plain'}.parquet"
    pq.write_table(table, here / name, compression=compression, data_page_version=version, use_dictionary=dictionary,
                   row_group_size=50, data_page_size=256, write_statistics=False, store_schema=False)
(here / "rows.json").write_text("[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows) + "\n]\n")
