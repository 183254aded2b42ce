#!/usr/bin/env python3
"""The chat templates of real models, as text, for the tests of model/chat: one NAME.jinja each.

usage: fetch_templates.py [OUT_DIR]      (default: .cache/templates, which git ignores; files there are replaced)
needs: python3 with pip, and an index that pip can reach; about 77 MB are downloaded, once

They lie in the source distribution of llama-cpp-python: as files, and as strings of a test in C++. The distribution is pinned by
version and SHA-256, which pip checks before it unpacks anything. The templates belong to others and are never committed: the
tests read them here, and skip by name what is missing.
"""
import os
import re
import subprocess
import sys
import tarfile
import tempfile

SOURCE = "llama-cpp-python==0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
FILES = re.compile(r"[^/]+/vendor/llama\.cpp/models/templates/([^/]+)\.jinja")
TEST = re.compile(r"[^/]+/vendor/llama\.cpp/tests/test-chat-template\.cpp")
CASE = re.compile(r'/\* \.name= \*/ "([^"]+)",\s*/\* \.template_str=? \*/ (?:U8C\()?"((?:\\.|[^"\\])*)"')
MAX_BYTES = 1 << 20  # of one file
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def download(folder):
    wanted = os.path.join(folder, "wanted.txt")
    with open(wanted, "w", encoding="utf-8") as f:
        f.write(f"{SOURCE} --hash=sha256:{SHA256}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "llama-cpp-python", "--require-hashes",
         "--dest", folder, "--requirement", wanted], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = [name for name in os.listdir(folder) if name.endswith(".tar.gz")]
    if done.returncode or len(found) != 1:
        sys.exit(f"astro: pip could not fetch {SOURCE} with the checksum that this project was tested with:\n{done.stdout.strip()}")
    return os.path.join(folder, found[0])


def unescape(literal):
    """The text of a C string literal."""
    return re.sub(r"\\(.)", lambda m: ESCAPES.get(m[1], m[1]), literal, flags=re.DOTALL)


def templates(archive):
    """Name and text of each template. Members are read, never extracted, so no path in the archive matters."""
    with tarfile.open(archive) as source:
        for member in source:
            is_file, is_test = FILES.fullmatch(member.name), TEST.fullmatch(member.name)
            if not (is_file or is_test) or not member.isfile() or member.size > MAX_BYTES:
                continue
            text = source.extractfile(member).read().decode("utf-8")
            if is_file:
                yield is_file[1], text
                continue
            for name, literal in CASE.findall(text):
                yield "test-" + re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-"), unescape(literal)


def main(out=os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), ".cache", "templates")):
    os.makedirs(out, exist_ok=True)
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, text in templates(download(folder)):
            fresh = os.path.join(out, name + ".new")
            with open(fresh, "w", encoding="utf-8", newline="") as f:
                f.write(text)
            os.replace(fresh, os.path.join(out, name + ".jinja"))
            count += 1
    print(f"astro: {count} chat templates in {out}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
