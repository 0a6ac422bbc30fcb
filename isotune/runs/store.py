"""The store: results on disk, whole, never replaced, and never taken when they are damaged.

    STORE/KEY/               the first result of a cell
      record.json            with its digest, and that of the predictions
      predictions.npy        int64 [test images]
      log.txt                of one that failed: what its worker said last
    STORE/KEY/2/, KEY/3/     further ones: under other versions, or because the cell was run again
    .../failed.json          the record of one that failed, where a further one came since
    STORE/KEY.damaged-*/     what was damaged, and is not read any more
    STORE/.claims/           who runs a cell now (`claims`)
    STORE/.drafts/           how far a fine-tuning is (`drafts`)
    STORE/.expected/         published numbers that were handed in (`isotune.verification`)

A result is renamed into place when the disk has all of it. Of a cell that has several, the last one counts, and none is
dated before another that was there. Who runs a cell asks beforehand which number its result will have (`next_number`):
of several who do, one taken for dead among them, one alone can put a result there.
"""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from isotune import cache, reading
from isotune.errors import Unwritable, UsageError
from isotune.reading import arrays
from isotune.runs import claims, drafts, earlier
from isotune.runs.records import Cell, Record, predictions_digest
from isotune.sealing import Damaged

RECORD, PREDICTIONS, LOG, FAILED = "record.json", "predictions.npy", "log.txt", "failed.json"
LARGEST = 16 * reading.MIB  # of a record
NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # what says that there is none
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
        they cannot. UsageError: drafts are asked for in no number of seconds."""
        drafts.interval()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder) as file:
                file.write(b"isotune" * 1000)
                file.flush()
                os.fsync(file.fileno())
                now = os.fstat(file.fileno()).st_mtime  # by the clock that dates drafts too, this machine's or not
            for draft in (*self.folder.glob(".draft-*"), *self.folder.glob(".*/.draft-*")):
                with suppress(FileNotFoundError):  # another process's, renamed just now
                    if now - draft.stat().st_mtime > _ABANDONED:
                        shutil.rmtree(draft, ignore_errors=True) if draft.is_dir() else draft.unlink()
            claims.tidy(self.folder, now)
        except OSError as error:
            raise self.unusable(error) from None

    def next_number(self, cell: Cell) -> int:
        """Of the result that comes next of a cell; 1 is the first's."""
        names = _names(self.folder / cell.key)
        return 1 + max([len(names) > 0, *(int(name) for name in names if name.isdecimal())])

    def write(
        self, record: Record, predictions: np.ndarray | None = None, log: str = "", number: int | None = None
    ) -> Path | None:
        """Put a result in place: beside those of the same cell that are done; it takes the place of one that failed.

        log: of one that failed. number: as `next_number` gave it when the cell was begun; None: any that is free.
        None: another process has put a result there since, and this one is dropped. Unwritable: the folder cannot be
        written; nothing of the result is there then.
        """
        try:
            return self._write(record, predictions, log, number)
        except OSError as error:
            raise self.unusable(error) from None

    def _write(self, record: Record, predictions: np.ndarray | None, log: str, number: int | None) -> Path | None:
        self.folder.mkdir(parents=True, exist_ok=True)
        former = {place: each for place in self._places(record.cell) if (each := self._read(place, record.cell))}
        record = _after(record, former.values())
        draft = self.folder / f".draft-{uuid.uuid4().hex}"
        draft.mkdir()
        try:
            if predictions is not None:
                np.save(draft / PREDICTIONS, predictions.astype(np.int64), allow_pickle=False)
            if log:
                (draft / LOG).write_text(log, encoding="utf-8", errors="replace")
            text = json.dumps(record.sealed(), indent=1, allow_nan=False) + "\n"
            (draft / RECORD).write_text(text, encoding="utf-8")
            cache.settle(draft)
            place = self._put(draft, self.folder / record.cell.key, number)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        if place is not None:
            for other in (other for other, each in former.items() if each.status == "failed"):
                with suppress(FileNotFoundError):  # another process saw to it
                    (other / RECORD).replace(other / FAILED)
        return place

    def _put(self, draft: Path, home: Path, number: int | None) -> Path | None:
        """Rename the draft to KEY, KEY/2, KEY/3 as its number says, or to the first that is free. None: it is taken."""
        for each in count(1) if number is None else (number,):
            place = home if each == 1 else home / str(each)
            try:
                place.parent.mkdir(exist_ok=True)
                draft.rename(place)  # which no file system does onto a folder that is not empty
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                continue
            cache.settle_one(place.parent)
            return place
        return None

    def read(self, cell: Cell) -> Record | None:
        """The cell's last result, or None."""
        return next(iter(self.results(cell)), None)

    def results(self, cell: Cell) -> list[Record]:
        """All results of a cell, the last to finish first; of two that finished at once, the one written later.

        One that is damaged, or whose predictions are, is set aside: a warning of the logger `isotune` names it.
        """
        read = [record for place in self._places(cell) if (record := self._read(place, cell)) is not None]
        read.reverse()
        return sorted(read, key=lambda record: record.ended, reverse=True)

    def is_done(self, key: str, since: datetime) -> bool:
        """Whether a result that is done was put in place of the cell with this key after a time, by the clock that
        dates files."""
        for place in self._within(self.folder / key):
            with suppress(Damaged, FileNotFoundError):
                written = (place / RECORD).stat().st_mtime
                if written >= since.timestamp() and _parsed(place / RECORD).status == "done":
                    return True
        return False

    def predictions(self, record: Record) -> np.ndarray:
        """int64 [test images]. UsageError: they are not kept; Damaged: they are not the record's any more."""
        places = self._places(record.cell)
        if len(places) > 1:
            places = [place for place in places if self._answer(place, record.cell) == record]
        if not places or not (places[-1] / PREDICTIONS).exists():
            raise UsageError(f"{self.folder}: there are no predictions of {record.cell}; run it again")
        return _predictions(places[-1], record)

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
                    if home.name != record.cell.key and home.name not in _keys(record.cell):
                        raise Damaged(f"{place / RECORD} is in the folder of another cell; it is that of {record.cell}")
                except Damaged as error:
                    if not (place / RECORD).exists():  # another process has written a further one since
                        continue
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
        """The folders of a cell's results, where they are; those of earlier versions too. What stands in the way of a
        folder, a file or a link that leads nowhere, is set aside."""
        home = self.folder / cell.key
        if _in_the_way(home):
            aside = home.with_name(f"{home.name}{_DAMAGED}-{uuid.uuid4().hex[:8]}")
            with suppress(FileNotFoundError):  # by another process
                home.rename(aside)
                if not _in_the_way(aside):  # another one did so, and has put a result there since
                    aside.rename(home)
                else:
                    _log.warning("damaged: %s: no folder of results; set aside as %s", home, aside)
        homes = [home] if home.is_dir() else [self.folder / key for key in _keys(cell)[1:]]
        return [place for home in homes for place in self._within(home)]

    @staticmethod
    def _within(home: Path) -> list[Path]:
        """The places of results in a cell's folder, the first one first."""
        names = _names(home)
        further = sorted((name for name in names if name.isdecimal()), key=int)
        first = [home] if RECORD in names else []
        return first + [home / name for name in further if (home / name / RECORD).exists()]

    def _read(self, place: Path, cell: Cell) -> Record | None:
        """The record in a place. None: it is damaged, or another cell's, and was set aside."""
        try:
            record = self._answer(place, cell)
            if record is not None and (place / PREDICTIONS).exists():
                _predictions(place, record)
        except Damaged as error:
            _log.warning("damaged: %s; set aside as %s", error, self._set_aside(place))
            return None
        return record

    @staticmethod
    def _answer(place: Path, cell: Cell) -> Record | None:
        """The record in a place, as the cell's. None: it is gone meanwhile. Damaged: so it is, or another cell's."""
        try:
            record = _parsed(place / RECORD)
        except Damaged:
            if not (place / RECORD).exists():
                return None
            raise
        if record.cell.key != cell.key:
            raise Damaged(f"{place / RECORD} is the record of another cell, {record.cell}")
        # a file or a folder stood elsewhere then
        return record if record.cell == cell else record.model_copy(update={"cell": cell})

    def _set_aside(self, place: Path) -> Path:
        """Move a place's two files away, and leave further results of the cell where they are."""
        home = place.relative_to(self.folder).parts[0]
        aside = self.folder / f"{home}{_DAMAGED}-{uuid.uuid4().hex[:8]}"
        aside.mkdir()
        for name in (RECORD, PREDICTIONS, LOG):
            with suppress(FileNotFoundError):
                (place / name).rename(aside / name)
        with suppress(OSError):
            place.rmdir()  # where nothing else is in it
        return aside

    def unusable(self, error: OSError) -> Unwritable:
        """What to say when the store cannot be written."""
        if isinstance(error, NotADirectoryError) and error.filename and Path(error.filename).parent == self.folder:
            return Unwritable(
                f"{error.filename} is no folder, and the store needs one there; move it away, or name another --store"
            )
        return Unwritable(
            f"the store {self.folder} cannot be written ({error.strerror or error}); make room or name another with"
            " --store, and the same command goes on from there"
        )


def _after(record: Record, others: Iterable[Record]) -> Record:
    """The record, dated after the others: of a clock that was put back it would not count."""
    latest = max((other.ended for other in others), default=None)
    if latest is None or record.ended > latest:
        return record
    later = latest - record.ended + timedelta(microseconds=1)
    return record.model_copy(update={"started": record.started + later, "finished": record.finished + later})


def _in_the_way(home: Path) -> bool:
    """Whether a file, or a link that leads to no folder, is where a cell's folder belongs: by one look at what is
    there, since a folder may come at any moment."""
    try:
        kind = home.lstat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISDIR(kind) and not (stat.S_ISLNK(kind) and home.is_dir())


def _names(home: Path) -> list[str]:
    """Of what is in a cell's folder; none where there is no folder."""
    try:
        return [entry.name for entry in os.scandir(home)]
    except OSError as error:
        if error.errno in NO_FOLDER:
            return []
        raise


def _keys(cell: Cell) -> list[str]:
    """The names that a cell's folder may have: today's, and those of earlier versions."""
    return [cell.key, *earlier.keys(cell.model_dump(mode="json"))]


def _predictions(place: Path, record: Record) -> np.ndarray:
    """int64 [test images]. Damaged: they are not the record's."""
    path = place / PREDICTIONS
    try:
        array = arrays.array(path)
    except UsageError:
        raise Damaged(f"{path} is damaged; run the cell again with --fresh") from None
    if record.predictions_digest not in (None, predictions_digest(array)):
        raise Damaged(f"{path} is not what was written; run the cell again with --fresh")
    return array


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
