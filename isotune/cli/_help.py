"""What `isotune --help` says below the commands: where to begin, the words that are isotune's own, the environment."""

from __future__ import annotations

from isotune.names import DEFAULT_MODELS

WORDS = {
    "model": f"a library's network, ADAPTER:NAME: {DEFAULT_MODELS[0]}",
    "architecture": "what models of several libraries have in common: they can share weights",
    "checkpoint": "weights, and the conventions that they were trained with",
    "conventions": "the choices in which libraries differ (padding, epsilon, resizing); each kind is an axis",
    "identical": "under the checkpoint's conventions in every library; native: under each library's own",
    "protocol": "the recipe: what is trained, on which input, how it is evaluated",
    "cell": "one run: model, checkpoint, data set, protocol, conventions and seed",
    "record, store": "what a cell gave; the folder that records are kept in",
    "rung": "one of the points at which two models are compared, from pixels to accuracy",
    "parity": "the proof that two models are one function and train as one",
}
VARIABLES = {
    "ISOTUNE_CACHE": "folder of prepared data sets, checkpoints and features; by default the user's cache folder",
    "ISOTUNE_CUDA_GRAPHS": "0: train without CUDA graphs",
    "ISOTUNE_DEVICE": "what networks compute on, where their library lets one choose: cpu, cuda, cuda:1",
    "ISOTUNE_DRAFTS": "seconds between two drafts of a fine-tuning, from which it goes on; 60, 0 for none",
    "ISOTUNE_IMAGENET": "folder of the data set imagenet",
    "ISOTUNE_THREADS": "set by isotune for its workers; OMP_NUM_THREADS is for you to set",
    "ISOTUNE_VERIFY": "1: read every cached file in full before it is used, however recently it was verified",
    "ISOTUNE_WATCH": "0: leave training loops alone, whatever isotune.watch says",
}


def epilog() -> str:
    """Of the command without arguments; click keeps the lines of what follows its mark."""
    return "\n\n".join([
        "Start with: isotune run, then isotune report. pytest benchmarks/ measures speed too.",
        _table("Words:", WORDS),
        _table("Environment:", VARIABLES),
    ])  # fmt: skip


def _table(title: str, rows: dict[str, str]) -> str:
    width = max(map(len, rows))
    return "\n".join(["\b", title, *(line for name, text in rows.items() for line in _wrapped(name, text, width))])


def _wrapped(name: str, text: str, width: int) -> list[str]:
    import textwrap

    start, indent = f"  {name:<{width}}  ", " " * (width + 4)
    return textwrap.wrap(text, 80 - 2, initial_indent=start, subsequent_indent=indent)
