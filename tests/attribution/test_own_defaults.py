"""Which cells price a library's defaults, each by itself."""

from __future__ import annotations

import pytest

from isotune import data
from isotune.attribution import with_own_defaults
from isotune.errors import UsageError
from isotune.runs.planning import Matrix, cells
from isotune.workers.process import Workers

MODEL = "torchvision:mobilenet_v2:width_mult=0.35"


def test_each_default_that_can_change_something_is_a_cell_of_every_seed():
    digits = {"digits": data.prepare("digits")}
    matrix = Matrix([MODEL], checkpoint="random:0", protocols=["vtab-short", "kornblith-logistic-short"], seeds=[0, 3])
    planned = cells(matrix, digits)
    with Workers() as workers:
        priced = with_own_defaults(planned, digits, workers)
        with pytest.raises(UsageError, match=r"price: .* give conventions identical too"):
            with_own_defaults([cell for cell in planned if cell.conventions == "native"], digits, workers)
    assert priced[: len(planned)] == planned
    assert [(each.protocol.name, each.conventions, each.seeds.head) for each in priced[len(planned) :]] == [
        ("vtab-short", f"identical,{axis}", seed)  # which trains: a probe has no head, and resizes as torch does
        for axis in ("resize=antialias", "head_initialisation=uniform-fan-in", "warmup_start=third")
        for seed in (0, 3)
    ]
