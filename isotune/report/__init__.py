"""Reports: records and speeds to a markdown leaderboard with figures.

- `read_benchmark(path)`: the records and speeds that `pytest benchmarks/ --benchmark-json=FILE` left;
- `write(records, folder, speeds=...)`: `leaderboard.md` and `figures/*.svg` in a folder;
- `first_rows(records, speeds)`: the sentence and the first table's head, for a README.

The same records always give the same bytes, so that a committed report changes only when results do.
pandas and matplotlib are imported when a report is written, not before.
"""

from isotune.report._benchmark import Speed, read_benchmark
from isotune.report._leaderboard import first_rows, write

__all__ = ["Speed", "first_rows", "read_benchmark", "write"]
