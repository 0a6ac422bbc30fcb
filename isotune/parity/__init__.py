"""Proofs that two models are one function, and train as one: in float64, rung by rung.

- `prove(left, right, ...)`, `prove_all(...)`: give `Proofs`, with `.holds`, `.assert_identical()`, `.frame()`,
  `.write(folder)`;
- `questions(...)`, `answer(...)`: the same in two steps, of any families of models; `Result` and `Rung` are what is
  kept of each pair, in a `ResultStore`;
- `families()`: the architectures with their counterparts; `check_pair` refuses what is no pair,
  `check_stages` what is no stage.

Modules: `_asking` (from names to questions), `_proof_inputs` (what both sides get: stages and optimizer cases),
`_checkpoint` and `_recording` (the worker's part), `_judging`, `_room`, `_proving` (an architecture), `_answering`
(several), `_results`, `_report`, `_proofs`.
It stands on `comparison`, as investigations do, and knows nothing of them.
"""

from isotune.models.counterparts import Family, check_pair, families
from isotune.parity._answering import answer
from isotune.parity._asking import check_stages, parse_size, questions
from isotune.parity._proofs import DEFAULT_STORE, Proofs, prove, prove_all
from isotune.parity._results import Question, Result, ResultStore, Rung

__all__ = [
    "DEFAULT_STORE",
    "Family",
    "Proofs",
    "Question",
    "Result",
    "ResultStore",
    "Rung",
    "answer",
    "check_pair",
    "check_stages",
    "families",
    "parse_size",
    "prove",
    "prove_all",
    "questions",
]
