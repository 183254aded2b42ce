"""A problem set of two problems in Parquet, with the fields that the hub's aime24 has: a number as id, the answer in a box.

usage: make_two.py        (writes two.parquet beside itself)
needs: pyarrow
"""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

rows = [
    {"id": 60, "problem": "What is $9^2+123$?", "solution": "\\boxed{204}", "url": "none"},
    {"id": 61, "problem": "What is $5^2$?", "solution": "Three digits: \\boxed{025}", "url": "none"},
]
pq.write_table(pa.Table.from_pylist(rows), pathlib.Path(__file__).with_name("two.parquet"), compression="snappy")
