"""Does `isotune investigate RECORDING protocol:NAME` name what a loop does otherwise, and nothing else?

    python benchmarks/validation/planted/loops

Trains the loops of `in_keras.py` and `in_torch.py`, a process each, watched; holds each recording against recipes that
say what it does, and against others that differ from it in one technique (`cases.py`); and writes
reports/planted-loops.md. On another engine of Keras, with `--engine jax` or `torch`, it prints alone. Exit status 1
when anything else is named than what differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the room, as a package

from planted.loops import report
from planted.loops.cases import Case, Framework, cases

from isotune.recordings import Recording, compare_with_protocol

HERE = Path(__file__).parent
REPORTS = HERE.parents[3] / "reports"
# A step of one's own is refused on JAX
LEFT_OUT = {"tensorflow": set(), "torch": {"tf.train.ExponentialMovingAverage"},
            "jax": {"tf.train.ExponentialMovingAverage", "average in a model"}}  # fmt: skip


def chosen(framework: Framework, engine: str) -> list[Case]:
    left_out = LEFT_OUT[engine] if framework == "keras" else set()
    return [case for case in cases(framework) if case.loop not in left_out]


def recorded(framework: Framework, engine: str, names: list[str], folder: Path) -> dict[str, Recording]:
    script = [str(HERE / f"in_{framework}.py"), *([engine] if framework == "keras" else []), str(folder), *names]
    done = subprocess.run([sys.executable, *script], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return {name: Recording(folder / name) for name in names}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=list(LEFT_OUT), default="tensorflow", help="of Keras (tensorflow)")
    parser.add_argument("--out", type=Path, default=REPORTS, help="folder of the report (reports)")
    asked = parser.parse_args()
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="isotune-loops-") as scratch:
        for framework in ("keras", "torch"):
            of_framework = chosen(framework, asked.engine)
            names = list(dict.fromkeys(case.loop for case in of_framework))
            recordings = recorded(framework, asked.engine, names, Path(scratch) / framework)
            for case in of_framework:
                outcomes.append((case, compare_with_protocol(recordings[case.loop], case.protocol)))
                print(report.line(*outcomes[-1]))
    if asked.engine == "tensorflow":
        print(report.write(outcomes, asked.out))
    return int(not all(case.right(said) for case, said in outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
