"""The store: results on disk, whole, never replaced, and never taken when they are damaged.

    STORE/KEY/               the first result of a cell
      record.json            with its digest, and that of the predictions
      predictions.npy        int64 [test images]
      log.txt                of one that failed: what its worker said last
    STORE/KEY/2/, KEY/3/     further ones: under other versions, or because the cell was run again
    STORE/KEY.damaged-*/     what was damaged, and is not read any more
    STORE/.claims/           who runs a cell now (`claims`)

A result is renamed into place when the disk has all of it. Of a cell that has several, the last one counts.
"""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from isotune import cache, reading
from isotune.errors import Unwritable, UsageError
from isotune.reading import arrays
from isotune.runs import claims, earlier
from isotune.runs.records import Cell, Record, predictions_digest
from isotune.sealing import Damaged

RECORD, PREDICTIONS, LOG = "record.json", "predictions.npy", "log.txt"
LARGEST = 16 * reading.MIB  # of a record
_DAMAGED = ".damaged"
_ABANDONED = 3600  # seconds, after which a draft is nobody's; writing one takes less than one
_log = logging.getLogger("isotune")


class Store:
    """Results on disk. damaged: a line for each record that an iteration found damaged and left out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[str] = []

    def check(self) -> None:
        """Make the folder, see whether results can be written there, and remove what killed processes left. Unwritable:
        they cannot."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for draft in self.folder.glob(".draft-*"):
                with suppress(FileNotFoundError):  # another process's, renamed just now
                    if time.time() - draft.stat().st_mtime > _ABANDONED:
                        shutil.rmtree(draft, ignore_errors=True)
            claims.tidy(self.folder)
            with tempfile.TemporaryFile(dir=self.folder) as file:
                file.write(b"isotune" * 1000)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self.unusable(error) from None

    def write(self, record: Record, predictions: np.ndarray | None = None, log: str = "") -> Path:
        """Put a result in place: beside those of the same cell that are done; a failed one it replaces. log: of one
        that failed.

        Unwritable: the folder cannot be written; nothing of the result is there then.
        """
        try:
            return self._write(record, predictions, log)
        except OSError as error:
            raise self.unusable(error) from None

    def _write(self, record: Record, predictions: np.ndarray | None, log: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self.folder))
        try:
            if predictions is not None:
                np.save(draft / PREDICTIONS, predictions.astype(np.int64), allow_pickle=False)
            if log:
                (draft / LOG).write_text(log, encoding="utf-8", errors="replace")
            text = json.dumps(record.sealed(), indent=1, allow_nan=False) + "\n"
            (draft / RECORD).write_text(text, encoding="utf-8")
            cache.settle(draft)
            for place in self._places(record.cell):
                former = self._read(place, record.cell)
                if former is not None and former.status == "failed":
                    return self._replaced(draft, place)
            return self._put(draft, self.folder / record.cell.key)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    @staticmethod
    def _replaced(draft: Path, place: Path) -> Path:
        """File by file, the record last: until then the failed one stands there."""
        for name in (PREDICTIONS, LOG, RECORD):
            if (draft / name).exists():
                (draft / name).replace(place / name)
            elif name == LOG:
                (place / LOG).unlink(missing_ok=True)  # of the failed one
        cache.settle_one(place)
        return place

    def _put(self, draft: Path, home: Path) -> Path:
        """Rename the draft to the first free of KEY, KEY/2, KEY/3."""
        for number in count(1):
            place = home if number == 1 else home / str(number)
            try:
                draft.rename(place)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                continue
            cache.settle_one(place.parent)
            return place
        raise AssertionError

    def read(self, cell: Cell) -> Record | None:
        """The cell's last result, or None."""
        return next(iter(self.results(cell)), None)

    def results(self, cell: Cell) -> list[Record]:
        """All results of a cell, the last to finish first; of two that finished at once, the one written later.

        A damaged one is set aside: a warning of the logger `isotune` names it.
        """
        read = [record for place in self._places(cell) if (record := self._read(place, cell)) is not None]
        read.reverse()
        return sorted(read, key=lambda record: record.ended, reverse=True)

    def predictions(self, record: Record) -> np.ndarray:
        """int64 [test images]. UsageError: they are not kept; Damaged: they are not the record's any more."""
        places = self._places(record.cell)
        if len(places) > 1:
            places = [place for place in places if self._read(place, record.cell) == record]
        if not places or not (path := places[-1] / PREDICTIONS).exists():
            raise UsageError(f"{self.folder}: there are no predictions of {record.cell}; run it again")
        try:
            array = arrays.array(path)
        except UsageError:
            raise Damaged(f"{path} is damaged; run the cell again with --fresh") from None
        if record.predictions_digest not in (None, predictions_digest(array)):
            raise Damaged(f"{path} is not what was written; run the cell again with --fresh")
        return array

    def __iter__(self) -> Iterator[Record]:
        """Every result, those that do not count any more included. A damaged one is left out and named: in `damaged`,
        and by a warning of the logger `isotune`."""
        self.damaged.clear()
        for home in sorted(self.folder.glob("*"), key=str):
            if home.name.startswith(".") or _DAMAGED in home.name:
                continue
            for place in self._within(home):
                try:
                    record = _parsed(place / RECORD)
                    if home.name not in _keys(record.cell):
                        raise Damaged(f"{place / RECORD} is in the folder of another cell; it is that of {record.cell}")
                except Damaged as error:
                    self.damaged.append(str(error))
                    _log.warning("left out: %s", error)
                else:
                    yield record

    def all(self) -> list[Record]:
        """Every result, as an iteration gives them. The collector of cycles, of which records have none, rests
        meanwhile: with 100,000 of them it would take two thirds of the time."""
        enabled = gc.isenabled()
        gc.disable()
        try:
            return list(self)
        finally:
            if enabled:
                gc.enable()

    def _places(self, cell: Cell) -> list[Path]:
        """The folders of a cell's results, where they are; those of earlier versions too."""
        home = self.folder / cell.key
        homes = [home] if home.exists() else [self.folder / key for key in _keys(cell)[1:]]
        return [place for home in homes for place in self._within(home)]

    @staticmethod
    def _within(home: Path) -> list[Path]:
        """The places of results in a cell's folder, the first one first."""
        try:
            names = [entry.name for entry in os.scandir(home)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        further = sorted((name for name in names if name.isdecimal()), key=int)
        first = [home] if RECORD in names else []
        return first + [home / name for name in further if (home / name / RECORD).exists()]

    def _read(self, place: Path, cell: Cell) -> Record | None:
        """The record in a place. None: it is damaged, or another cell's, and was set aside."""
        try:
            record = _parsed(place / RECORD)
            if record.cell.key != cell.key:
                raise Damaged(f"{place / RECORD} is the record of another cell, {record.cell}")
            if record.cell != cell:  # a file or a folder stood elsewhere then
                record = record.model_copy(update={"cell": cell})
        except Damaged as error:
            _log.warning("damaged: %s; set aside as %s", error, self._set_aside(place))
            return None
        return record

    def _set_aside(self, place: Path) -> Path:
        """Move a place's two files away, and leave further results of the cell where they are."""
        home = place.relative_to(self.folder).parts[0]
        aside = Path(tempfile.mkdtemp(prefix=f"{home}{_DAMAGED}-", dir=self.folder))
        for name in (RECORD, PREDICTIONS, LOG):
            with suppress(FileNotFoundError):
                (place / name).rename(aside / name)
        with suppress(OSError):
            place.rmdir()  # where nothing else is in it
        return aside

    def unusable(self, error: OSError) -> Unwritable:
        """What to say when the store cannot be written."""
        return Unwritable(
            f"the store {self.folder} cannot be written ({error.strerror or error}); make room or name another with"
            " --store, and the same command goes on from there"
        )


def _keys(cell: Cell) -> list[str]:
    """The names that a cell's folder may have: today's, and those of earlier versions."""
    return [cell.key, *earlier.keys(cell.model_dump(mode="json"))]


def _parsed(path: Path) -> Record:
    try:
        record = Record.model_validate_json(reading.content(path, LARGEST))
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}"
        raise Damaged(f"{path}: not a record of this version ({' '.join(where.split())[:200]})") from None
    except UsageError as error:
        raise Damaged(str(error)) from None
    if record.metrics and not record.metrics.whole:
        raise Damaged(f"{path}: an accuracy of {record.metrics.accuracy} of {record.metrics.test_images} images")
    return record
