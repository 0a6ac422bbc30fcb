"""How Sphinx builds the site: `make docs`, from the root of the repository, so that links between docs/, reports/ and
adapters/ are the same in the site and in a file viewer.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import isotune

project = "isotune"
author = "The isotune developers"
copyright = "The isotune developers. Apache License 2.0"
version = release = isotune.__version__

root_doc = "docs/index"
include_patterns = [
    "docs/**.md", "reports/**.md", "adapters/*.md", "CHANGELOG.md", "CONTRIBUTING.md",
    "benchmarks/validation/README.md",
]  # fmt: skip
exclude_patterns = [".*", "build", "dist", "tests", "isotune", "reference_results"]  # not walked through

extensions = ["myst_parser", "sphinx.ext.autodoc", "generated"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3  # links to headings, spelled as file viewers spell them
myst_links_external_new_tab = False

default_role = "py:obj"  # `name` in a docstring: a link where the reference has it, code where not
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# What an argument takes is named as NumPy names array_like; its docstring lists it.
autodoc_type_aliases = {name: f"{name}Like" for name in ("Model", "Dataset", "Protocol", "Conventions")}
autodoc_type_aliases |= {name: name for name in ("PathLike", "Progress")}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 72
add_module_names = False

html_theme = "furo"  # system fonts: the pages load nothing from elsewhere
html_title = f"isotune {release}"
html_baseurl = ""
html_static_path = ["_static"]
html_css_files = ["isotune.css"]
html_show_sphinx = False
html_copy_source = False
html_additional_pages = {"index": "to-docs.html"}  # build/docs/index.html leads to docs/index.html
templates_path = ["_templates"]
pygments_style = "friendly"
pygments_dark_style = "native"
html_theme_options = {"navigation_with_keys": True}
