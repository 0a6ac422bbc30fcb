"""Where prepared things live, and how they get there whole.

The cache is one folder: `$ISOTUNE_CACHE`, else the user's cache folder for isotune. Everything in it can
be made again, so it may be deleted at any time.

Whoever fills it works on a draft beside the target and renames it into place when it is complete, under a
lock that other processes wait for; a process that is killed leaves a draft, never half a result:

    target = cache.folder("features") / key
    with cache.locked(target):
        if not target.exists():
            with cache.draft_folder(target) as draft:
                np.save(draft / "train.npy", features)

Whoever reads from it has it in use meanwhile (`Use`), and whoever removes a thing must be alone with it (`alone`).
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from isotune.errors import UsageError

PATIENCE = 60.0  # seconds, after which a wait is told
_log = logging.getLogger("isotune")
_UMASK = os.umask(0o022)
os.umask(_UMASK)


def root() -> Path:
    """The cache's folder, absolute; it need not exist yet."""
    chosen = os.environ.get("ISOTUNE_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("isotune"))


def folder(name: str) -> Path:
    """The cache's subfolder `name`, which is made if it is not there. UsageError: it cannot be made."""
    path = root() / name
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the cache folder {path} cannot be made ({error.strerror}); name another: ISOTUNE_CACHE=PATH"
        ) from None
    return path


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """One process at a time; the lock lies beside the target as a hidden file and is left there. Whoever waits for long
    says so, in a warning of the logger `isotune`: a process that was stopped keeps its lock."""
    lock = FileLock(_beside(target))
    try:
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            _log.warning(
                "waiting for another process that is making %s; if it was stopped, wake it or end it ('fuser %s' says"
                " which it is)", target, lock.lock_file,
            )  # fmt: skip
            lock.acquire()
    except OSError as error:
        raise UsageError(
            f"the cache folder {target.parent} cannot be written ({error.strerror}); name another: ISOTUNE_CACHE=PATH"
        ) from None
    try:
        yield
    finally:
        lock.release()


class Use:
    """A file of the cache in use, and with it what it seals: as long as this is there, nobody who asks to be `alone`
    with it removes it. Any number of processes may have it in use; a process that ends has let go.

    Errors: FileNotFoundError: it is not there, or was removed just now.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._handle = file, -1
        self._handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # a file system without locks: `alone` is refused there
                fcntl.flock(self._handle, fcntl.LOCK_SH)
            if not os.path.samestat(os.fstat(self._handle), file.stat()):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __enter__(self) -> Use:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[Use], tuple[Path]]:
        return Use, (self._file,)  # another process opens it for itself


@contextmanager
def alone(target: Path, file: Path | None = None) -> Iterator[bool]:
    """Whether nobody makes `target` or has `file` of it in use; while inside nobody does, then. OSError: that cannot be
    known here."""
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(_beside(target)).acquire(timeout=0))
            if file is not None:
                with suppress(FileNotFoundError):  # of what is damaged: nobody reads it
                    handle = os.open(file, os.O_RDWR | os.O_CLOEXEC)
                    stack.callback(os.close, handle)
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except (Timeout, BlockingIOError):
            free = False
        yield free


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.lock")


@contextmanager
def draft_folder(target: Path) -> Iterator[Path]:
    """An empty folder that takes the place of `target` when the block ends well, and vanishes otherwise.

    Call it under `locked(target)`: what a killed process left of an earlier draft is removed first.
    """
    draft = target.with_name(f".draft-{target.name}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        place_folder(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def place_folder(draft: Path, target: Path) -> None:
    """Rename `draft` to `target`; a folder that is already there is replaced."""
    settle(draft)
    if not target.exists():
        draft.rename(target)
    else:
        aside = Path(tempfile.mkdtemp(prefix=".replaced-", dir=target.parent))
        try:
            target.rename(aside / "old")  # a rename cannot replace a folder that is not empty
            draft.rename(target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    settle_one(target.parent)


@contextmanager
def draft_file(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """A path beside `target`; the file written there replaces `target` when the block ends well.

    durable: it outlives a machine that loses power just then.
    """
    handle, name = tempfile.mkstemp(prefix=".draft-", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        draft.chmod(0o666 & ~_UMASK)  # drafts are made for their owner alone
        if durable:
            settle(draft)
        draft.replace(target)
        if durable:
            settle_one(target.parent)
    finally:
        draft.unlink(missing_ok=True)


def settle(path: Path) -> None:
    """Have the disk hold a file, or a folder and all in it, before a rename lets others find it."""
    for each in path.rglob("*") if path.is_dir() else ():
        settle_one(each)
    settle_one(path)


def settle_one(path: Path) -> None:
    """Have the disk hold a file's content, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:  # some file systems cannot for a folder
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def set_aside(path: Path) -> Path:
    """Move what is damaged to `NAME.damaged` beside it, in the place of an earlier one; where it is then."""
    aside = path.with_name(f"{path.name}.damaged")
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)
    path.rename(aside)
    return aside
