"""Published numbers with their sources, as tables.

`imagenet.csv`: top-1 and top-5 on the ImageNet validation images, in percent, as the maker of the checkpoint
published them. One row an evaluation: a checkpoint evaluated at two sizes has two rows. torchvision's numbers are
not here; they come with torchvision (`weights.meta`).

| column | |
|---|---|
| adapter, model, checkpoint | as in isotune's names; checkpoint is timm's tag, Keras's `imagenet` |
| top1_percent, top5_percent | 0 to 100; empty: not published |
| size_px | side of the network's input; empty: not stated |
| crop | size over the resized shorter side, of which the centre is cut (above 1: padded); empty: not stated |
| interpolation | of the resize; empty: not stated |
| evaluation | what else is known of how it was measured |
| source | page or file, with the commit that was read |

A number holds only under its own evaluation. Keras documents none; where Northcutt (2019) squashed the images instead
of cropping their centre, Keras models came out 1.3 to 6.0 points lower than documented.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

KEY = ["adapter", "model", "checkpoint", "size_px"]


def imagenet() -> pd.DataFrame:
    """`imagenet.csv`: text columns, float64 percentages and crop, Int64 sizes with missing values."""
    return _imagenet().copy()


@cache
def _imagenet() -> pd.DataFrame:
    import pandas as pd

    text = dict.fromkeys(["adapter", "model", "checkpoint", "interpolation", "evaluation", "source"], "str")
    numbers = dict.fromkeys(["top1_percent", "top5_percent", "crop"], "float64")
    with resources.files(__name__).joinpath("imagenet.csv").open(encoding="utf-8") as file:
        # Empty text is "" and not NaN; only numbers can be missing.
        table = pd.read_csv(
            file, dtype=text, keep_default_na=False, na_values={name: [""] for name in [*numbers, "size_px"]}
        )
    return table.astype({**numbers, "size_px": "Int64"})


def published_top1(adapter: str, model: str, checkpoint: str, size_px: int | None = None) -> float | None:
    """ImageNet top-1 in percent, or None when this table has none.

    size_px: the evaluation at that size; absent: at the smallest, which for timm's checkpoints is the size that
    the library takes by default (the larger one is its `test_input_size`).
    """
    rows = _by_checkpoint().get((adapter, model, checkpoint), {})
    if size_px is not None:
        return rows.get(size_px)
    return next(iter(rows.values()), None)


@cache
def _by_checkpoint() -> dict[tuple[str, str, str], dict[int, float]]:
    """Top-1 by size, sizes rising (0: not stated), so that thousands of look-ups cost one pass."""
    found: dict[tuple[str, str, str], dict[int, float]] = {}
    table = _imagenet().fillna({"size_px": 0}).sort_values("size_px")
    for row in table.itertuples():
        found.setdefault((row.adapter, row.model, row.checkpoint), {})[int(row.size_px)] = float(row.top1_percent)
    return found
