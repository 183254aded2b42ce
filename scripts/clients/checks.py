"""What the client scripts share: where the servers are, and how checks are run and reported.

A script defines functions called check_...; main runs them in order and prints one line for each: `ok NAME`, `skip NAME: REASON` or
`FAIL NAME: REASON`. run.py reads these lines. A check skips only where it says so itself: one marked @later("/v1/responses") skips
while the server has no such route, one marked @later("response_format") while it refuses a parameter whose name begins so as unsupported. Any other error fails.
"""

import functools
import os
import sys
import traceback

DEMO_URL = os.environ.get("ASTRO_URL", "http://127.0.0.1:8080")  # serves the demo model: sums of numbers, 70 tokens
BYTES_URL = os.environ.get("ASTRO_BYTES_URL", "")  # serves a random model over bytes: any text, tools, JSON
API_KEY = os.environ.get("ASTRO_API_KEY", "any")
DEMO, BYTES = os.environ.get("ASTRO_MODEL", "demo"), os.environ.get("ASTRO_BYTES_MODEL", "bytes")
SUM = [{"role": "user", "content": "3 7 2 9 -> 27"}]
TALK = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "Grüße! What is 2 + 2?"}]

WEATHER = {  # a function for checks of tools; its arguments have few values, so that a random model is soon done
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Łódź"]}, "metric": {"type": "boolean"}},
    "required": ["city", "metric"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather now", "parameters": WEATHER}}


class Skip(Exception):
    """Raised by a check that cannot be made; the text says what is missing."""


def later(what):
    """Marks a check of a route (it begins with /) or parameter that this server may not have yet."""

    def mark(check):
        @functools.wraps(check)
        def run():
            try:
                check()
            except Skip:
                raise
            except Exception as error:  # clients wrap the server's error in classes of their own
                if is_missing(what, error):
                    raise Skip(f"the server does not support {what} yet") from error
                raise

        return run

    return mark


def is_missing(what, error):
    """Whether error, or one that caused it, says that the server lacks a route or refuses a parameter."""
    sign = "Unknown request URL" if what.startswith("/") else f"Unsupported parameter: '{what}"
    while error is not None:
        if sign in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def raises(kind, call):
    """The error of class kind that call must raise."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def in_weather(arguments):
    """Checks arguments of the function weather."""
    assert set(arguments) == {"city", "metric"} and arguments["city"] in ("Paris", "Łódź") and arguments["metric"] in (True, False), arguments


def main(names):
    """Runs every check_... in names, which is the script's globals()."""
    failed = False
    for name, check in list(names.items()):
        if not name.startswith("check_"):
            continue
        name = name.removeprefix("check_")
        try:
            check()
            print("ok", name, flush=True)
        except Skip as reason:
            print(f"skip {name}: {reason}", flush=True)
        except Exception as error:
            failed = True
            traceback.print_exc()
            print(f"FAIL {name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}", flush=True)
    sys.exit(failed)
