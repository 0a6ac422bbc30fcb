"""The fenced blocks of a page, and how each is run.

A page is run from top to bottom in one folder: what a block writes, the next ones find. A comment in the line before a
block says what a reader need not see: `<!-- slow -->`, `<!-- exit status 1 -->`, `<!-- slow, exit status 1 -->`,
`<!-- not run: REASON -->`.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FENCE = re.compile(
    r"(?:^<!-- (?P<comment>[^\n]*?) -->\n)?^(?P<fence>```+)(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
MARKS = re.compile(r"(?P<slow>slow)?(?:, )?(?:exit status (?P<status>\d+))?|not run: (?P<why>.+)")
_CAPTION = re.compile(r"\A:caption: (\S+)\n\n?")


@dataclass(frozen=True)
class Block:
    page: str
    line: int  # of its first line inside the fence, from 1
    language: str
    text: str
    file: str | None  # the file that it is, by its caption
    slow: bool
    status: int  # that its last command ends with
    not_run: str | None  # why not

    @property
    def first(self) -> str:
        return self.text.splitlines()[0]


def blocks_of(page: str, text: str) -> list[Block]:
    """Every block of a page, directives of the site (`{toctree}`) left out."""
    blocks = []
    for fence in _FENCE.finditer(text):
        info, body, comment = fence["info"].strip(), fence["body"], fence["comment"] or ""
        file = None
        if info.startswith("{code-block}"):
            info = info.removeprefix("{code-block}").strip()
            if caption := _CAPTION.match(body):
                file, body = caption[1], body[caption.end() :]
        elif info.startswith("{"):
            continue
        known = MARKS.fullmatch(comment)
        assert known, f"{page}: <!-- {comment} --> before a block is not known"
        blocks.append(
            Block(
                page=page,
                line=text.count("\n", 0, fence.start("body")) + 1,
                language=info,
                text=body,
                file=file,
                slow=bool(known["slow"]),
                status=int(known["status"] or 0),
                not_run=known["why"],
            )
        )
    return blocks


class Reader:
    """Somebody who follows a page, block by block, in `folder`."""

    def __init__(self, folder: Path, environment: Mapping[str, str], root: Path) -> None:
        self._folder, self._environment, self._root = folder, dict(environment), root
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._printed: str | None = None  # by the last block that was run

    def follow(self, block: Block) -> None:
        """Run or write `block`. AssertionError: it does not do what the page says."""
        where = f"{block.page}:{block.line}"
        if block.file is not None:
            (self._folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            self._type(block, where)
        elif block.language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile("\n" * (block.line - 1) + block.text, block.page, "exec"), self._names)
            self._printed = printed.getvalue()
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "text":
            assert self._printed is not None, f"{where}: nothing was run that could have printed this"
            check_printed(self._printed, block.text.splitlines(), where)
        else:
            raise AssertionError(f"{where}: {block.language!r} is no language that a test can run")

    def _type(self, block: Block, where: str) -> None:
        typed = re.split(r"^\$ ", block.text.replace("\\\n", " "), flags=re.MULTILINE)
        assert not typed[0].strip(), f"{where}: a command begins with $"
        for place, part in enumerate(typed[1:], 2):
            command, _, shown = part.partition("\n")
            done = self._run(command)
            status = block.status if place == len(typed) else 0
            assert done.returncode == status, f"{where}: {command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
            expected = command.startswith("python ") and "Error: " in shown  # a script of one's own that asserts
            assert expected or "Traceback" not in done.stderr, done.stderr
            self._printed = done.stdout + done.stderr
            check_printed(self._printed, shown.splitlines(), where)

    def _run(self, command: str) -> subprocess.CompletedProcess[str]:
        words = shlex.split(command)
        if words[0] == "make":  # the whole of it is the caller's own doing
            return subprocess.run([*words, "-n"], cwd=self._root, capture_output=True, text=True, check=False)
        return subprocess.run(
            ["bash", "-ec", command],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )


def check_printed(printed: str, shown: list[str], where: str) -> None:
    """Each shown line was printed, in this order; `...` stands for any lines, and for anything inside of one."""
    rest = [" ".join(line.split()) for line in printed.splitlines()]
    for line in shown:
        if not (words := line.split()) or words == ["..."]:
            continue
        pattern = ".*".join(re.escape(part) for part in " ".join(words).split("..."))
        places = [place for place, one in enumerate(rest) if re.fullmatch(pattern, one)]
        assert places, f"{where}: this was not printed: {line}\nbut:\n{printed[-3000:]}"
        rest = rest[places[0] + 1 :]
