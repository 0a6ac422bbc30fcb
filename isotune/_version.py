"""isotune's version, looked up when it is asked for: importlib.metadata is slow to import."""


def version() -> str:
    """As installed: "0.1.0"; "0+unknown" of a checkout that was never installed."""
    from importlib import metadata

    try:
        return metadata.version("isotune")
    except metadata.PackageNotFoundError:
        return "0+unknown"
