"""Proofs that two models are one function, and train as one: in float64, rung by rung.

- `questions(...)`: what is asked of a model and its counterparts; `prove` answers, in worker processes;
- `families()`: the architectures of Keras with their counterparts; `check_pair`: refuses what is no pair;
- `show(...)`, `write(...)`: a pair's table, and `parity.md`.

Modules: `_asking`, `_pairs`, `_trial` (what both sides go through), `_observing` (the worker's part), `_comparing`,
`_proving`, `_results`, `_report`.
"""

from isotune.models.counterparts import Family, check_pair, families
from isotune.parity._asking import check_stages, chosen, parse_size, questions
from isotune.parity._proving import prove
from isotune.parity._report import show, write
from isotune.parity._results import Question, Result, ResultStore, as_json

__all__ = [
    "Family",
    "Question",
    "Result",
    "ResultStore",
    "as_json",
    "check_pair",
    "check_stages",
    "chosen",
    "families",
    "parse_size",
    "prove",
    "questions",
    "show",
    "write",
]
