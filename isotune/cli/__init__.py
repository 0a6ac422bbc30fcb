"""The command line, a module for each few commands; heavy libraries are imported inside them, so that `--help` answers
at once.

Exit status: 0 done, 1 ran and found a failure, 2 wrong use, 3 ran and decided nothing (`verify`).
"""

from __future__ import annotations

import re
import sys
from typing import Annotated, Any

import typer

from isotune.cli import _ending as ending
from isotune.cli import _streams as streams
from isotune.cli._cache import cache
from isotune.cli._compare import EPILOG as OF_CHANGES
from isotune.cli._compare import compare
from isotune.cli._help import epilog
from isotune.cli._investigate import dump, investigate
from isotune.cli._models import datasets, doctor, models, protocols
from isotune.cli._proof import parity, transfer
from isotune.cli._report import export, report
from isotune.cli._run import prepare, run, status
from isotune.cli._shared import Command
from isotune.cli._variance import variance
from isotune.cli._verify import EPILOG as OF_CLAIMS
from isotune.cli._verify import verify
from isotune.errors import UsageError
from isotune.printable import one_line

__all__ = ["app", "main"]

app = typer.Typer(
    name="isotune",
    help="The same fine-tuning, in every framework, under one protocol.",
    epilog=epilog(),
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: Rich alone would take half of the start-up time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_KINDS = {"integer": "a whole number", "number": "a number"}  # what typer calls the types of options


def _print_version(wanted: bool) -> None:
    if wanted:
        from isotune._version import version

        typer.echo(f"isotune {version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print isotune's version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """The same fine-tuning, in every framework, under one protocol."""


for command in (
    run,
    status,
    report,
    export,
    compare,
    verify,
    variance,
    investigate,
    dump,
    parity,
    transfer,
    models,
    datasets,
    protocols,
    prepare,
    cache,
    doctor,
):
    app.command(cls=Command, epilog={verify: OF_CLAIMS, compare: OF_CHANGES}.get(command))(command)


def main() -> None:
    """Console entry point: wrong use ends in one line on stderr and status 2; a signal in one line and 128 and it."""
    streams.settle()
    ending.listen()
    try:
        status = _run()
        sys.stdout.flush()  # here, where it can still be said that it is full
        if not ending.asked():
            sys.exit(status)
        message = ending.MESSAGE  # typer turns the interrupt into a status
    except UsageError as error:
        message, status = str(error), 2
    except (KeyboardInterrupt, typer.Abort):
        message, status = ending.MESSAGE, 130
    except OSError as error:  # of a disk, a folder, a network: nothing that a traceback would explain
        where = f"{error.filename}: " if error.filename else ""
        message, status = f"{where}{error.strerror or error}", 2
    if ending.asked():
        ending.end()
    print(f"isotune: {one_line(message)}", file=sys.stderr)
    sys.exit(status)


def _run() -> int:
    """The command's exit status. UsageError for options that it does not have or take too."""
    # click's exceptions by way of typer's, since typer may carry a click of its own
    wrong_use: Any = typer.BadParameter.__mro__[2]
    try:
        return app(standalone_mode=False) or 0
    except wrong_use as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.ctx.get_help())
            return 2
        where = f"{error.param.opts[0]}: " if getattr(error, "param", None) else ""
        text = re.sub(r"^Invalid value for [^:]+: ", "", error.format_message().rstrip("."))
        text = re.sub(
            r"^Input should be a valid (\w+)(, .*)?$", lambda kind: f"takes {_KINDS.get(kind[1], kind[1])}", text
        )
        raise UsageError(f"{where}{text}; --help shows what there is") from None
