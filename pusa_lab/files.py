"""Files of others and our own: read within bounds, written whole or not at all, never outside their folder."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import types
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pusa_lab.arguments import checked, shown

MOST_JSON = 64 * 2**20
"""Bytes of the largest JSON file that is read; manifests and index files are far smaller."""

PART = ".part-"
"""What the name of an unfinished file begins with; its ending stays, because writers choose the format by it."""


@contextlib.contextmanager
@checked
def writing(path: str | Path) -> Iterator[Path]:
    """A place for an unfinished file or new folder, which takes `path`'s place in one rename once the block has ended.

    If the block fails, what lay at `path` stays and nothing is left behind. The folder is made.

    Args:
        path: where the file shall be.

    Raises:
        OSError: it cannot be written, or is a device or a pipe; with the reason and what to do.
    """
    path = Path(path)
    part = path.with_name(f"{PART}{secrets.token_hex(4)}{path.suffix[-40:]}")
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a rename would put a file in a device's place
            raise OSError(errno.EINVAL, "it is not a regular file")
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if part.is_file():
            with part.open("rb+") as stream:  # on the disk before it is named, so that a power cut leaves no empty file
                os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error.strerror or error}): {_cure(error)}.") from error
    except Exception as error:
        # libraries wrap a full disk into errors of their own
        if part.parent.is_dir() and shutil.disk_usage(part.parent).free < 2**20:
            raise OSError(f"{path} cannot be written (no space left on device): make room.") from error
        raise
    finally:
        with contextlib.suppress(OSError):  # where nothing could be written, such as below a file
            shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)


@checked
def write_json(path: str | Path, value: Any) -> None:
    """Write JSON, whole or not at all.

    Args:
        path: where to.
        value: what `json` writes.

    Raises:
        OSError: it cannot be written.
        ValueError: it is nothing that JSON has, or would be larger than what `read_json` reads.
    """
    try:
        text = json.dumps(value, indent=2) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        reason = " ".join(f"{error}".split())[:120]
        raise ValueError(f"value is nothing for JSON ({reason}): give texts, numbers, lists or dicts.") from error
    if len(text) > MOST_JSON:  # of ASCII alone
        raise ValueError(f"{path} would have {len(text)} bytes, the most is {MOST_JSON}: divide what it lists.")
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")


@checked
def check_writable(path: str | os.PathLike[str], what: str = "the file") -> Path:
    """Refuse a place where no file can be written, before any work; nothing is left there.

    Args:
        path: where a file shall be; what lies there may be replaced.
        what: to call it in the sentence, such as "--out".

    Raises:
        ValueError: it is a folder, its name is none, or its folder cannot be made or written to.
    """
    path = _a_name(path, what)
    if path.is_dir():
        raise ValueError(f"{what} {path} is a folder: give the name of a file.")
    if path.exists() and not path.is_file():
        raise ValueError(f"{what} {path} is not a regular file: give another name.")
    _probe(path.parent, what, path)
    return path


@checked
def check_folder(path: str | os.PathLike[str], what: str = "the folder") -> Path:
    """Refuse a folder that cannot be made or written to, before any work; nothing is left there.

    Args:
        path: of a folder, there or not.
        what: to call it in the sentence, such as "--logs".

    Raises:
        ValueError: it is a file, its name is none, or it cannot be made or written to.
    """
    path = _a_name(path, what)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{what} {path} is a file: give a folder.")
    _probe(path, what, path)
    return path


def _a_name(path: str | os.PathLike[str], what: str) -> Path:
    if not str(path) or "\0" in str(path):
        raise ValueError(f"{what} {str(path)!r:.300} is not a file name: give a path.")
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            Path(path).lstat()
    except OSError as error:  # such as a name that is too long
        raise ValueError(f"{what} {path} cannot be used ({error.strerror}): {_cure(error)}.") from error
    return Path(path)


def _probe(folder: Path, what: str, path: Path) -> None:
    """Try to write into the first of these folders that is there."""
    there = next(f for f in [folder, *folder.absolute().parents] if f.exists())
    if not there.is_dir():
        raise ValueError(f"{what} {path} cannot be written: {there} is a file, give another place.")
    probe = there / f"{PART}{secrets.token_hex(4)}"
    try:
        probe.write_bytes(b"\0" * 4096)
    except OSError as error:
        raise ValueError(f"{what} {path} cannot be written ({error.strerror}): {_cure(error)}.") from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def _cure(error: OSError) -> str:
    cures = {errno.ENOSPC: "make room", errno.EDQUOT: "make room", errno.ENAMETOOLONG: "give a shorter name"}
    return cures.get(error.errno or 0, "give another place")


@checked
def read_json(path: str | Path, what: str, fields: Mapping[str, Any] | None = None) -> Any:
    """JSON from a file that anyone may have written.

    Args:
        path: of the file.
        what: to call it in the sentence, such as "the manifest".
        fields: for an object: name -> the type, or types, that it must hold; others may be there too.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is too large, not JSON, nested too deeply, or a field is missing or of another type.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            text = stream.read(MOST_JSON + 1)  # a device has no size, and no end
        if len(text) > MOST_JSON:
            raise ValueError(f"it has more than the {MOST_JSON} bytes that are read")
        found = json.loads(text.decode("utf-8-sig"))
    except FileNotFoundError:
        raise FileNotFoundError(f"no {what} at {path}: give the path of an existing file.") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not {what} that can be read (it is not UTF-8): restore the file.") from error
    except (OSError, ValueError) as error:
        reason = (
            isinstance(error, OSError) and error.strerror
        ) or error  # without its path, which stands there already
        raise ValueError(f"{path} is not {what} that can be read ({reason}): restore the file.") from error
    except RecursionError:
        raise ValueError(f"{path} is not {what} that can be read (nested too deeply): restore the file.") from None
    if fields is not None:
        check_fields(found, f"{path} is not {what} that can be read", fields)
    return found


@checked
def check_fields(found: Any, sentence: str, fields: Mapping[str, Any]) -> None:
    """Refuse an object read from JSON that lacks a field, or has one of another type.

    Args:
        found: what was read.
        sentence: the beginning of the error.
        fields: name -> the type, or types (a union or a tuple), of its value; a bool is no number here.

    Raises:
        ValueError: naming the first field that is wrong.
    """
    kinds = [one for kind in fields.values() for one in (kind if isinstance(kind, tuple) else (kind,))]
    if odd := [kind for kind in kinds if not isinstance(kind, type | types.UnionType)]:
        raise ValueError(f"fields names {shown(odd[0])} as a type: give types, such as str or (int, float).")
    if not isinstance(found, dict):
        raise ValueError(f"{sentence} ({shown(found)} instead of an object): restore the file.")
    for name, kind in fields.items():
        if name not in found:
            raise ValueError(f"{sentence} (no {name!r} in it): restore the file.")
        value, wants_bool = found[name], kind is bool or (isinstance(kind, tuple) and bool in kind)
        if not isinstance(value, kind) or (isinstance(value, bool) and not wants_bool):
            got = "null" if value is None else shown(value)
            raise ValueError(f"{sentence} ({name!r} is {got}): restore the file.")


@checked
def inside(folder: str | Path, name: Any, where: str) -> Path:
    """The path of a file that another file names, which must lie in the folder or below it.

    Args:
        folder: where the files belong.
        name: as it stands in the other file, relative to the folder.
        where: what names it, for the sentence.

    Raises:
        ValueError: the name is not a relative path within the folder.
    """
    if not isinstance(name, str):
        raise ValueError(f"{where} names as a file {shown(name)}, which is not inside {folder}: restore the file.")
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    parts = {*posix.parts, *windows.parts}
    if not posix.parts or posix.is_absolute() or windows.anchor or ".." in parts or "\0" in name:
        raise ValueError(f"{where} names the file {name!r:.80}, which is not inside {folder}: restore the file.")
    return Path(folder) / name


@contextlib.contextmanager
@checked
def locked(folder: str | Path) -> Iterator[None]:
    """Keep other processes from writing into a folder at the same time; a killed process lets go.

    Its file `.lock` is there as long as the block runs, or until the next one after a kill.

    Args:
        folder: which is made.

    Raises:
        ValueError: another process is writing into it, or nobody can.
    """
    import fcntl  # not on Windows

    folder = check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = path.stat().st_ino == os.fstat(stream.fileno()).st_ino  # not one that was just taken away
        except (BlockingIOError, FileNotFoundError):
            there = False
        if not there:
            raise ValueError(
                f"another process is writing into {folder}: wait until it has ended, or give another folder."
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@checked
def digest(path: str | Path) -> str:
    """sha256 of a file's bytes.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: there is none.
    """
    if not Path(path).is_file():  # a device may have no end
        raise FileNotFoundError(f"no regular file at {path}: give the path of an existing file.")
    found = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while piece := stream.read(2**20):
            found.update(piece)
    return found.hexdigest()
