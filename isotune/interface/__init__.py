"""The Python interface: what `isotune` gives at its top, and what the commands call.

- `_running`: `run`, `prepare`; `_runs`: `Runs`, `load_runs`;
- `_comparing`: `investigate`, `dump`, `prove`, `prove_all`;
- `_listing`: `list_protocols`, `list_datasets`; `_measured`: `measured_models`;
- `_caching`: `list_cache`, `prune_cache`;
- `_verifying`: `verify`; `_changes`: `compare`;
- `_transferring`: `transfer`; `_variance`: `study_variance`;
- `_model`: `open_model`, with `requests` as the worker's part of it;
- `arguments`: names, paths, arrays, functions and dictionaries as the core takes them, and the errors for others.

It stands on all other packages, and only `isotune.cli` and the benchmark suite stand on it.
"""

from isotune.interface._caching import list_cache, prune_cache
from isotune.interface._changes import compare
from isotune.interface._comparing import dump, investigate, prove, prove_all
from isotune.interface._listing import ListedDataset, ListedProtocol, list_datasets, list_protocols
from isotune.interface._measured import MeasuredModels, measured_models
from isotune.interface._model import OpenModel, open_model
from isotune.interface._running import Prepared, plan, prepare, run, status
from isotune.interface._runs import Runs, load_runs
from isotune.interface._transferring import Transferred, transfer
from isotune.interface._variance import VarianceStudy, study_variance
from isotune.interface._verifying import Verified, verify

__all__ = [
    "ListedDataset",
    "ListedProtocol",
    "MeasuredModels",
    "OpenModel",
    "Prepared",
    "Runs",
    "Transferred",
    "VarianceStudy",
    "Verified",
    "compare",
    "dump",
    "investigate",
    "list_cache",
    "list_datasets",
    "list_protocols",
    "load_runs",
    "measured_models",
    "open_model",
    "plan",
    "prepare",
    "prove",
    "prove_all",
    "prune_cache",
    "run",
    "status",
    "study_variance",
    "transfer",
    "verify",
]
