"""isotune: the same fine-tuning, in every framework.

The core. It imports no framework, so it starts at once; frameworks are imported by `isotune.adapters`
alone, in worker processes. The way through it:

    protocol (TOML) -> plan (cells) -> executor -> worker process -> record on disk -> statistics -> report
"""


def __getattr__(name: str) -> str:
    if name == "__version__":  # looked up when asked for: importlib.metadata is slow to import
        from importlib import metadata

        try:
            return metadata.version("isotune")
        except metadata.PackageNotFoundError:  # a checkout that was never installed
            return "0+unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
