"""What an investigation says, in words, tables and figures.

- `verdict(findings, attribution)`: where they part, why, and what was not compared;
- `default_name(left, right)`: of the files;
- `show(...)`, `html(...)`, `as_json(...)`, `write(...)`: in a terminal, a notebook, for a program, and `NAME.md` with
  its figures.

Modules: `_verdict`, `_sentences`, `_tables` (rows and causes), `_document` (markdown), `_remedies`, `_layers_figure`,
`_writing`. All is derived from `findings` and an attribution; matplotlib is imported when figures are drawn.
"""

from isotune.investigation.report._verdict import verdict
from isotune.investigation.report._writing import as_json, default_name, html, show, write

__all__ = ["as_json", "default_name", "html", "show", "verdict", "write"]
