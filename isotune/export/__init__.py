"""Records and speeds to other tools' formats, written by those tools' own libraries.

- `export(records, speeds, to, folder)`: the files, in a folder that holds nothing of the same names;
- `frame(records)`: records as a pandas table; `speed_frame(speeds)`: speeds as one;
- `FORMATS`: what it can be, each with what its files are.

Inside: `_tables` writes CSV and Parquet, `_events` TensorBoard's event files, `_tracking` MLflow's database, `_results`
the evaluation results of model repositories on the Hugging Face Hub; `_cells` says once what all of them tell of a
cell, and `_writing` puts files where they belong.

Names of files are made of letters, digits and dashes, so that no name in a record leads out of the folder. Of paths of
this machine only the last part is told.
"""

from __future__ import annotations

from isotune.export._export import FORMATS, export
from isotune.export._tables import frame, speed_frame

__all__ = ["FORMATS", "export", "frame", "speed_frame"]
