"""Reports: records and speeds to a leaderboard with figures, in markdown and as one HTML page.

- `read_benchmark(path)`: the records and speeds that `pytest benchmarks/ --benchmark-json=FILE` left;
- `write(records, folder, speeds=...)`: `leaderboard.md`, `.html` and `.json`, and `figures/*.svg` in a folder;
- `schema()`: what is in that JSON, as a JSON schema;
- `model_index(records)`: evaluation results for model cards on the Hugging Face Hub, YAML;
- `first_rows(records, speeds)`: the sentence and the first table's head, for a README.

The same records always give the same bytes, so that a committed report changes only when results do.
SciPy and matplotlib are imported when a report is written, not before.
"""

from isotune.report._leaderboard import first_rows, schema, write
from isotune.report._model_index import model_index
from isotune.report.analysis.benchmark import Speed, read_benchmark

__all__ = ["Speed", "first_rows", "model_index", "read_benchmark", "schema", "write"]
