"""Reading and writing of files: reads are bounded, writes are atomic, and no path leaves its folder."""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pusa_lab.arguments import checked, shown

MOST_JSON = 64 * 2**20
"""Largest JSON file that is read or written, in bytes; manifests and index files are far smaller."""

PART = ".part-"
"""Prefix of the name of an unfinished file. The suffix is kept, because writers choose the format by it."""


@contextlib.contextmanager
@checked
def writing(path: str | Path) -> Iterator[Path]:
    """Context manager for atomic writes: gives a temporary path, which is renamed to `path` when the block has ended.

    If the block fails, an existing file at `path` is kept and the temporary file is removed. Missing parent folders are
    created.

    Args:
        path: of the final file or new folder.

    Raises:
        OSError: the file cannot be written, or `path` is a device or a pipe; the sentence gives the reason and what to
            do.
    """
    path = Path(path)
    part = path.with_name(f"{PART}{secrets.token_hex(4)}{path.suffix[-40:]}")
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a rename would put a file in a device's place
            raise OSError(errno.EINVAL, "it is not a regular file")
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        mode = part.stat().st_mode
        part.unlink()
        yield part
        if part.is_file():
            part.chmod(mode)  # safetensors makes files that no one else can read
            with part.open("rb+") as stream:  # flushed before the rename, so that a power cut leaves no empty file
                os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error.strerror or error}): {_cure(error)}.") from error
    except Exception as error:
        # libraries report a full disk as errors of their own
        if part.parent.is_dir() and shutil.disk_usage(part.parent).free < 2**20:
            raise OSError(f"{path} cannot be written (no space left on device): make room.") from error
        raise
    finally:
        with contextlib.suppress(OSError):  # nothing was written, for example because a parent is a file
            shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)


@checked
def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file atomically, in UTF-8 with an indent of 2.

    Args:
        path: of the file.
        value: str, numbers, bool, None, lists and dicts of them.

    Raises:
        OSError: the file cannot be written.
        ValueError: the value cannot be written as JSON, or is larger than `read_json` reads (64 MiB).
    """
    try:
        text = json.dumps(value, indent=2) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        reason = " ".join(f"{error}".split())[:120]
        raise ValueError(f"value cannot be written as JSON ({reason}): give str, numbers, lists or dicts.") from error
    if len(text) > MOST_JSON:  # ASCII only, so characters are bytes
        raise ValueError(
            f"{path} would have {len(text)} bytes, more than the limit of {MOST_JSON}: write several files."
        )
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")


@checked
def check_writable(path: str | os.PathLike[str], what: str = "the file") -> Path:
    """Check before long work that a file can be written; the disk is left as it was.

    Args:
        path: of the file; an existing file counts as writable, because it may be replaced.
        what: what to call it in the sentence, such as "--out".

    Returns:
        The path.

    Raises:
        ValueError: it is a folder or not a valid file name, or its folder cannot be created or written to.
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
    """Check before long work that a folder can be created or written to; the disk is left as it was.

    Args:
        path: of the folder, which need not exist.
        what: what to call it in the sentence, such as "--logs".

    Returns:
        The path.

    Raises:
        ValueError: it is a file or not a valid name, or it cannot be created or written to.
    """
    path = _a_name(path, what)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{what} {path} is a file: give a folder.")
    _probe(path, what, path)
    return path


def _a_name(path: str | os.PathLike[str], what: str) -> Path:
    if not str(path) or "\0" in str(path):
        raise ValueError(f"{what} {str(path)!r:.300} is not a file name: give a path.")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):
        raise ValueError(f"{what} {str(path)!r:.300} is an address: give a path of this machine.")
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            Path(path).lstat()
    except OSError as error:  # such as a name that is too long
        raise ValueError(f"{what} {path} cannot be used ({error.strerror}): {_cure(error)}.") from error
    return Path(path)


def _probe(folder: Path, what: str, path: Path) -> None:
    """Try to write into the folder, or into its nearest parent that exists."""
    present = next(f for f in [folder, *folder.absolute().parents] if f.exists())
    if not present.is_dir():
        raise ValueError(f"{what} {path} cannot be written: {present} is a file, give another place.")
    probe = present / f"{PART}{secrets.token_hex(4)}"
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
    """Read JSON from an untrusted file.

    Args:
        path: of the file, in UTF-8, at most 64 MiB.
        what: what to call it in the sentence, such as "a manifest".
        fields: name -> type or types of each required field of an object; further fields are allowed. None checks
            nothing.

    Returns:
        The decoded value.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is too large, not JSON or nested too deeply, or a field is missing or of another type.
    """
    return parse_json(read_bounded(path, what), path, what, fields)


@checked
def read_bounded(path: str | Path, what: str) -> bytes:
    """Read an untrusted file of at most 64 MiB.

    Args:
        path: of the file.
        what: what to call it in the sentence, such as "a manifest".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is too large, or cannot be read.
    """
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(MOST_JSON + 1)  # a limit, because a device has no size and may be endless
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is not an existing file: give the path of {what}.") from None
    except OSError as error:  # the path is in the sentence already
        raise ValueError(
            f"{path} is not {what} that can be read ({error.strerror or error}): restore the file."
        ) from error
    if len(content) > MOST_JSON:
        too_large = f"it is larger than the limit of {MOST_JSON} bytes"
        raise ValueError(f"{path} is not {what} that can be read ({too_large}): restore the file.")
    return content


@checked
def parse_json(content: bytes, path: str | Path, what: str, fields: Mapping[str, Any] | None = None) -> Any:
    """Decode the content of a JSON file, which is untrusted.

    Args:
        content: what `read_bounded` read.
        path: as `read_json`.
        what: as `read_json`.
        fields: as `read_json`.

    Raises:
        ValueError: the content is not JSON or is nested too deeply, or a field is missing or of another type.
    """
    fault = f"{path} is not {what} that can be read"
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError(f"{fault} (nested too deeply): restore the file.") from None
    except ValueError as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise ValueError(f"{fault} ({reason}): restore the file.") from error
    if fields is not None:
        check_fields(found, fault, fields)
    return found


@checked
def check_fields(found: Any, sentence: str, fields: Mapping[str, Any]) -> None:
    """Refuse an object read from JSON that lacks a field, or has a field of another type.

    Args:
        found: the value that was read.
        sentence: beginning of the error sentence.
        fields: name -> type or types (a union or a tuple) of its value; a bool does not count as a number.

    Raises:
        ValueError: a field is missing or has another type; the sentence names the first one.
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
def path_inside(folder: str | Path, name: Any, where: str) -> Path:
    """Return the path of a file that an untrusted file refers to, which must lie in the folder or below it.

    Args:
        folder: the folder that the path must not leave.
        name: the reference, relative to the folder.
        where: what to call the referring file in the sentence.

    Raises:
        ValueError: the name is not a relative path within the folder.
    """
    if not isinstance(name, str):
        raise ValueError(f"{where} refers to {shown(name)}, which is not a file inside {folder}: restore the file.")
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    parts = {*posix.parts, *windows.parts}
    if not posix.parts or posix.is_absolute() or windows.anchor or ".." in parts or "\0" in name:
        raise ValueError(f"{where} refers to {name!r:.80}, which is not a file inside {folder}: restore the file.")
    return Path(folder) / name


@contextlib.contextmanager
@checked
def locked(folder: str | Path) -> Iterator[None]:
    """Context manager that keeps other processes from writing into a folder; the lock of a killed process is released.

    The file `.lock` in the folder exists while the block runs. After a kill it stays until the next lock is released.

    Args:
        folder: created if missing.

    Raises:
        ValueError: another process holds the lock, or the folder cannot be created or written to.
    """
    import fcntl  # not on Windows

    folder = check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = path.stat().st_ino == os.fstat(stream.fileno()).st_ino  # False: the last owner just removed it
        except (BlockingIOError, FileNotFoundError):
            held = False
        if not held:
            raise ValueError(
                f"another process is writing into {folder}: wait until it has ended, or give another folder."
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@checked
def content_digest(content: str | bytes | memoryview | Iterable[str | bytes | memoryview]) -> str:
    """Return the SHA-256 of text or bytes, as 64 hexadecimal digits; every digest of this package is one of these.

    Args:
        content: text, which counts as UTF-8, bytes, or several of them, which count as if they were joined.
    """
    found = hashlib.sha256()
    for piece in [content] if isinstance(content, str | bytes | memoryview) else content:
        found.update(piece.encode() if isinstance(piece, str) else piece)
    return found.hexdigest()


@checked
def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: there is no regular file at the path.
    """
    if not Path(path).is_file():  # reading a device might never end
        raise FileNotFoundError(f"no regular file at {path}: give the path of an existing file.")
    with Path(path).open("rb") as stream:
        return content_digest(iter(lambda: stream.read(2**20), b""))


@checked
def sampled_digest(path: str | Path) -> str:
    """Return a digest of a file that is cheap for gigabytes too: of its size, and of all or 256 parts of its bytes.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: there is no regular file at the path.
    """
    path = Path(path)
    size = path.stat().st_size if path.is_file() else 0
    if size <= 2**28:
        return digest(path)
    pieces: list[str | bytes] = [str(size)]
    with path.open("rb") as stream:
        for part in range(256):
            stream.seek(part * (size - 2**16) // 255)
            pieces.append(stream.read(2**16))
    return f"sampled:{content_digest(pieces)}"


@checked
def existing_file(path: str | Path, what: str) -> Path:
    """Return the path of a regular file that is to be read.

    Args:
        path: of the file.
        what: what to call it in the sentence, such as "picture".

    Raises:
        ValueError: there is no regular file at the path.
    """
    try:
        there = Path(path).is_file()
    except (OSError, ValueError):  # for example, a name that is too long or contains a NUL
        there = False
    if not there:
        raise ValueError(f"no {what} at {str(path)!r:.300}: give the path of an existing file.")
    return Path(path)
