"""isotune: the same fine-tuning, in every framework.

The core. It imports no framework, so it starts at once; frameworks are imported by `isotune.adapters`
alone, in worker processes. The way through it:

    protocol (TOML) -> plan (cells) -> executor -> worker process -> record on disk -> statistics -> report
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("isotune")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"
