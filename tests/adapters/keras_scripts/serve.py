"""Runs scripts of this folder one after another in one process: a framework is imported once.

Standard input has a request a line, `["script.py", "argument", ...]`; the answer is a line that holds the traceback of
what the script raised, or nothing. What scripts print goes to standard error.
"""

import contextlib
import json
import runpy
import sys
import traceback
from pathlib import Path

HERE = Path(__file__).parent


def run(script, *arguments):
    sys.argv = [script, *arguments]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            runpy.run_path(str(HERE / script), run_name="__main__")
    except BaseException:
        return traceback.format_exc()
    return ""


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(*json.loads(line))), flush=True)
