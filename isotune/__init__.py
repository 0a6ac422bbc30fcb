"""isotune: the same fine-tuning, in every framework.

    import isotune

    runs = isotune.run(["torchvision:mobilenet_v2", "keras:MobileNetV2"], "digits", "quick", seeds=3)
    runs.leaderboard().write("my-report")

- `models(...)`, `list_datasets()`, `list_protocols()`: what can be run; `prepare(...)`: fetched ahead
- `measured_models(...)`: models with what they reached and cost in a report, to choose one
- `run(...)`: a matrix of models, data sets, protocols, set-ups and seeds, or a sweep file -> `Runs`
- `plan(...)`: what of it is done, and what the rest takes; `status(...)`: what a store has, what runs, what is left
- `load_runs(...)`: the same from a folder of records, or from the JSON of `pytest benchmarks/`
- `compare(...)`: two stores, benchmark JSONs or reports -> what fell or rose, before and after an upgrade or a patch
- `verify(...)`: a published number with its model, weights, data and protocol -> reproduced, different, inconclusive
- `open_model(...)`: one model in its worker: features, logits, activations, gradients
- `investigate(...)`: why two models differ, and what that costs; `dump(...)`: one side, for another machine
- `prove(...)`, `prove_all(...)`: that two models are one function and train as one; `.assert_identical()`
- `identical(...)`: the same, as a decorator of a test, for pytest (`isotune.testing`)
- `watch(...)`: a recording of a training loop of your own, to be investigated
- `study_variance(...)`: where the spread of the accuracy comes from
- `list_cache()`, `prune_cache(...)`: what is in the caches, and what of it can go
- `transfer(...)`: a checkpoint of one library as a file of another
- `Protocol`: a recipe built in Python; its parts are in `protocols`; `data`: prepared data sets
- `errors`: what is raised, in one line: `errors.UsageError`

The core imports no framework, so it starts at once; frameworks are imported by `isotune.adapters` alone, in worker
processes. Nothing of the core is imported before it is used either. The way through it:

    protocol (TOML) -> plan (cells) -> executor -> worker process -> record on disk -> statistics -> report
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isotune import data, errors, protocols
    from isotune.changes import Changes
    from isotune.interface import (
        MeasuredModels,
        OpenModel,
        Prepared,
        Runs,
        Transferred,
        VarianceStudy,
        Verified,
        compare,
        dump,
        investigate,
        list_cache,
        list_datasets,
        list_protocols,
        load_runs,
        measured_models,
        open_model,
        plan,
        prepare,
        prove,
        prove_all,
        prune_cache,
        run,
        status,
        study_variance,
        transfer,
        verify,
    )
    from isotune.investigation import Investigation
    from isotune.models.listing import models
    from isotune.parity import Proofs
    from isotune.protocols import Protocol
    from isotune.recordings import watch
    from isotune.report import Leaderboard
    from isotune.testing import identical

    __version__: str

__all__ = [
    "Changes",
    "Investigation",
    "Leaderboard",
    "MeasuredModels",
    "OpenModel",
    "Prepared",
    "Proofs",
    "Protocol",
    "Runs",
    "Transferred",
    "VarianceStudy",
    "Verified",
    "__version__",
    "compare",
    "data",
    "dump",
    "errors",
    "identical",
    "investigate",
    "list_cache",
    "list_datasets",
    "list_protocols",
    "load_runs",
    "measured_models",
    "models",
    "open_model",
    "plan",
    "prepare",
    "protocols",
    "prove",
    "prove_all",
    "prune_cache",
    "run",
    "status",
    "study_variance",
    "transfer",
    "verify",
    "watch",
]

_PLACES = {  # where each stands; packages and modules of their own are not named
    "Changes": "isotune.changes",
    "Investigation": "isotune.investigation",
    "Leaderboard": "isotune.report",
    "MeasuredModels": "isotune.interface",
    "OpenModel": "isotune.interface",
    "Prepared": "isotune.interface",
    "Proofs": "isotune.parity",
    "Protocol": "isotune.protocols",
    "Runs": "isotune.interface",
    "Transferred": "isotune.interface",
    "VarianceStudy": "isotune.interface",
    "Verified": "isotune.interface",
    "compare": "isotune.interface",
    "dump": "isotune.interface",
    "identical": "isotune.testing",
    "investigate": "isotune.interface",
    "list_cache": "isotune.interface",
    "list_datasets": "isotune.interface",
    "list_protocols": "isotune.interface",
    "load_runs": "isotune.interface",
    "measured_models": "isotune.interface",
    "open_model": "isotune.interface",
    "plan": "isotune.interface",
    "prepare": "isotune.interface",
    "prove": "isotune.interface",
    "prove_all": "isotune.interface",
    "prune_cache": "isotune.interface",
    "run": "isotune.interface",
    "status": "isotune.interface",
    "study_variance": "isotune.interface",
    "transfer": "isotune.interface",
    "verify": "isotune.interface",
    "watch": "isotune.recordings",
}


_WHOLE = ("data", "errors", "models", "protocols")  # packages and modules; `models` can be called


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _PLACES:
        value: object = getattr(import_module(_PLACES[name]), name)
    elif name in _WHOLE:
        value = import_module(f"isotune.{name}")
    elif name == "__version__":
        from isotune._version import version

        value = version()
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
