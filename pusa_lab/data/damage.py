"""Strict decoding of video: errors that decoders would hide are raised.

Decoders conceal data that they cannot read. Here each decoder runs on one thread, where no error is lost, and every
frame must decode without an error. Four codecs have so little redundancy that damaged data may decode without an error.
VP8, VP9 and HEVC are decoded twice, in ways that agree on an intact file and differ once a decoder reads past the end
of its data. H.264 is decoded a second time into taller pictures: a damaged slice rarely ends where it should, and the
decoder continues below the picture until it has read too much. If H.264 is coded without arithmetic coding, bytes that
are left over show the same.

Not all damage can be detected: a run of changed bytes within a frame of HEVC, VP8, VP9 (more than 8 bits in
particular), ProRes, Motion JPEG and, rarely, H.264 may decode to another valid picture, and such files have no checksum
that would show it. In HEVC the last row of blocks of a picture is hardly protected, which matters most in small clips,
whose pictures have one or two rows. Nor is it detected if times and sizes in the tables of an MP4, or the alpha plane
of VP8 and VP9, have changed.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pusa_lab.data.nal_units import (
    PICTURE,
    SEQUENCE,
    SLICES,
    TAIL,
    arithmetic,
    joined,
    parameter_sets,
    taller,
    units,
    with_tail,
)

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

DAMAGED = "is damaged"
LOST = f"{DAMAGED}, a part of it is missing: restore the file."
STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}
"""Options of a decoder: compare checksums, treat deviations from the standard as errors, and return all errors."""
LOGGED = {"err_detect": "crccheck+bitstream+buffer"}
"""The same for H.264, whose errors are all logged, so that those of `OPENING` can be ignored."""
LEFTOVER = {"err_detect": "crccheck+bitstream+buffer+aggressive", "skip_loop_filter": "all"}
"""The same, where bytes that a CAVLC slice of H.264 leaves unread are an error too."""
FASTEST = {"ec": "0", "skip_loop_filter": "all"}
"""Options of a decoder whose pictures are not used."""
COMPLAINT = "error while decoding MB"
"""What the decoder of H.264 logs when it has read too many bytes."""
OPENING = ("mmco: unref short failure", "reference picture missing", "Missing reference picture", "co located POCs")
"""Errors of H.264 for frames that refer to frames before a cut; harmless up to the second key frame."""
LOSING = ("matroska", "ogg")
"""Demuxers that log an error when data is missing."""
JOIN = 2
"""Packets after a suspect one within which a joined MPEG-TS file may begin, whose counters start again."""
ALPHA: Final = "matroska_block_additional"
"""Where a packet of VP8 or VP9 holds the alpha plane, which libvpx decodes and FFmpeg's own decoders do not."""
SECOND = {"vp8": "libvpx", "vp9": "libvpx-vp9", "hevc": "hevc"}
"""Codec -> decoder for the second pass."""

KINDS = (
    "mov,matroska,apng,avi,mpeg,mpegts,mpegvideo,ogg,asf,flv,gif,mxf,dv,rm,nut,ivf,yuv4mpegpipe,h264,hevc,m4v,obu,mjpeg"
)
"""FFmpeg's names of the file formats that are opened; playlists, which refer to other files, are excluded."""

TS_PACKETS = (188, 192, 204)
"""Sizes of MPEG-TS packets in bytes. The format does not mark its end, but a whole file is a multiple of one."""


def opened(path: Path) -> tuple["InputContainer", bool]:
    """Open a video file; its name is never interpreted as a URL.

    Args:
        path: of the file.

    Returns:
        The open container, and whether a part of the file is missing.

    Raises:
        av.FFmpegError: the file is not a video.
    """
    import av

    options = {"format_whitelist": KINDS, "protocol_whitelist": "file"}
    with listening() as said:
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    cut = container.format.name == "mpegts" and all(path.stat().st_size % n for n in TS_PACKETS)
    return container, cut or any(name.startswith(LOSING) for name, _ in said)


def checked_frames(container: "InputContainer", stream: "VideoStream") -> Iterator["VideoFrame"]:
    """Yield the frames of a stream, in the order in which they are shown.

    Args:
        container: open for reading.
        stream: a video stream of the container.

    Raises:
        ValueError: the stream is damaged, or has transparency that PyAV does not read; the message continues a
            sentence that begins with the file name.
    """
    transparent = stream.metadata.get("alpha_mode") == "1"
    decode, second = _decoder(stream.codec_context, "NONE"), _second(stream.codec_context, transparent)
    other = second or _reads_all(stream.codec_context)
    compared: deque[VideoFrame] = deque()
    waiting: deque[VideoFrame] = deque()
    packets = 0
    with ThreadPoolExecutor(1) as pool:
        for packet in _packets(container, stream):
            packets += packet.size > 0
            with listening():  # keeps the level of what is logged, for both threads
                again = [pool.submit(other, packet)] if other else []
                try:
                    waiting += decode(packet)
                finally:
                    wait(again)
            frames = [frame for found in again for frame in found.result()]
            if second is None:
                yield from _emptied(waiting)
                continue
            compared += frames
            while waiting and compared and (packet.size == 0 or _pts(waiting[0]) <= _pts(compared[-1])):
                yield _agreed(waiting.popleft(), compared)
    if waiting or packets < stream.frames:
        raise ValueError(f"{DAMAGED}, frames are missing: restore the file.")


def _emptied(frames: "deque[VideoFrame]") -> Iterator["VideoFrame"]:
    while frames:
        yield frames.popleft()


def _packets(container: "InputContainer", stream: "VideoStream") -> Iterator["Packet"]:
    """All packets, the last one being the empty packet that flushes a decoder."""
    packets = container.demux(stream)
    suspect: Packet | None = None
    after = 0
    while True:
        with listening() as said:
            packet = next(packets, None)
        if any(name.startswith(LOSING) for name, _ in said):
            raise ValueError(LOST)
        if suspect is not None:
            after += 1
            if packet is not None and _starts_again(packet, suspect):
                suspect = None
            elif packet is None or packet.size == 0 or after == JOIN:
                raise ValueError(LOST)
        if packet is None:
            return
        if packet.is_corrupt and suspect is None:
            suspect, after = packet, 0
        yield packet


def _starts_again(packet: "Packet", suspect: "Packet") -> bool:
    """Whether a joined file begins after a suspect packet: with a key frame that is earlier in time."""
    if packet.dts is None or suspect.dts is None:
        return False
    return packet.is_keyframe and packet.dts < suspect.dts


def _decoder(
    context: Any, threads: str, options: dict[str, str] | None = None
) -> Callable[["Packet"], list["VideoFrame"]]:
    """Return a function that decodes a packet and raises ValueError for a damaged one."""
    from av import FFmpegError

    context.thread_type, context.thread_count = threads, 1 if threads == "NONE" else 2
    context.options = options or (LOGGED if context.name == "h264" else STRICT)
    keys = 0

    def decode(packet: "Packet") -> list["VideoFrame"]:
        nonlocal keys
        keys += packet.is_keyframe
        try:
            with listening() as said:
                frames = context.decode(packet)
        except FFmpegError as error:
            reason = error.strerror or str(error)
            raise ValueError(f"{DAMAGED}, a frame in it cannot be decoded ({reason}): restore the file.") from error
        errors = [message for name, message in said if name == context.name]
        wrong = [error for error in errors if keys > 1 or context.name != "h264" or not error.startswith(OPENING)]
        if wrong or any(frame.is_corrupt for frame in frames):
            reason = f" ({wrong[0].strip()})" if wrong else ""
            raise ValueError(f"{DAMAGED}, a frame in it cannot be decoded{reason}: restore the file.")
        if any(frame.pts is None or not frame.time_base for frame in frames):
            raise ValueError("has a frame without a time, as in a bare stream of H.264 or HEVC: convert it to MP4.")
        return frames

    return decode


def _second(context: Any, transparent: bool = False) -> Callable[["Packet"], list["VideoFrame"]] | None:
    """Return the decoder of the second pass, or None for codecs that need none; it alone reads VP8's and VP9's alpha.

    Raises:
        ValueError: the stream has alpha, and there is no such decoder.
    """
    import av

    name = SECOND.get(context.codec.canonical_name)
    deep = name == "libvpx-vp9" and not _eight_bits(context)  # PyAV's libvpx decodes 8 bits only
    try:
        other = av.CodecContext.create(name, "r") if name and not deep else None
    except av.codec.codec.UnknownCodecError:  # PyAV built without libvpx
        other = None
    if other is None:
        if transparent and name:
            raise ValueError("has transparency that cannot be read: convert it to a video without transparency.")
        return None
    other.extradata = context.extradata
    decode, length = _decoder(other, "SLICE" if name == "hevc" else "NONE"), _length(context.extradata or b"", 21)

    def decode_again(packet: "Packet") -> list["VideoFrame"]:
        if not packet.size:
            return decode(packet)
        data = bytes(packet)
        if name != "libvpx-vp9":
            data = joined([with_tail(u) for u in units(data, length)], length) if name == "hevc" else data + TAIL
        again = av.Packet(data)
        if transparent and packet.has_sidedata(ALPHA):
            again.set_sidedata(packet.get_sidedata(ALPHA))
        again.pts, again.dts, again.time_base = packet.pts, packet.dts, packet.time_base
        return decode(again)

    return decode_again


def _reads_all(context: Any) -> Callable[["Packet"], list["VideoFrame"]] | None:
    """Return a function that refuses packets of H.264 in which a slice does not end where its bytes end."""
    import av

    if context.codec.canonical_name != "h264":
        return None
    sets, length = parameter_sets(context.extradata or b""), _length(context.extradata or b"", 4)
    other = av.CodecContext.create("h264", "r")
    if not all(arithmetic(unit) for unit in sets if unit[0] & 31 == PICTURE):
        other.extradata = context.extradata
        return _decoder(other, "SLICE", LEFTOVER)  # with slice threads PyAV learns of this error, which is not logged
    other.extradata = joined([taller(unit) for unit in sets], 0) or None
    return _continuing(other, length)


def _continuing(context: Any, length: int) -> Callable[["Packet"], list["VideoFrame"]]:
    """The same for arithmetic coding: in taller pictures a damaged slice continues until it has read too much."""
    from av import FFmpegError, Packet

    context.thread_type, context.thread_count, context.options = "NONE", 1, FASTEST

    def decode(packet: "Packet") -> list["VideoFrame"]:
        parts: list[bytes] = []
        for unit in units(bytes(packet), length):
            kind = unit[0] & 31 if unit else 0
            parts += [taller(unit) if kind == SEQUENCE else unit, *([TAIL] if kind in SLICES else [])]
        with listening() as said, contextlib.suppress(FFmpegError):
            context.decode(Packet(joined(parts, 0)))
        if any(message.startswith(COMPLAINT) for _, message in said):
            raise ValueError(f"{DAMAGED}, a frame does not end where its data ends: restore the file.")
        return []

    return decode


def _eight_bits(context: Any) -> bool:
    return context.format is not None and context.format.components[0].bits == 8


def _length(extradata: bytes, at: int) -> int:
    """Size in bytes of the length field before each unit of H.264 or HEVC; 0 where units begin with a start code."""
    return (extradata[at] & 3) + 1 if len(extradata) > at and extradata[0] == 1 else 0


def _agreed(frame: "VideoFrame", others: "deque[VideoFrame]") -> "VideoFrame":
    """The frame of the second pass, which may have an alpha plane, if it is the same otherwise."""
    while others and _pts(others[0]) < _pts(frame):
        others.popleft()
    if not others or _pts(others[0]) != _pts(frame) or not _same(frame, others[0]):
        raise ValueError(f"{DAMAGED}, a frame in it decodes in two ways: restore the file.")
    return others.popleft()


def _pts(frame: "VideoFrame") -> int:
    return frame.pts or 0


def _same(one: "VideoFrame", other: "VideoFrame") -> bool:
    """Whether two frames show the same picture, apart from an alpha plane that only the other may have."""
    if other.format.name not in (one.format.name, one.format.name.replace("yuv4", "yuva4")):
        return False
    return all(np.array_equal(a, b) for a, b in zip(_lines(one), _lines(other), strict=False))


def _lines(frame: "VideoFrame") -> Iterator[np.ndarray]:
    """The bytes of each plane, without the padding of its lines."""
    deep = frame.format.components[0].bits > 8
    for plane in frame.planes:
        data: Any = plane
        lines = np.frombuffer(data, np.uint8)[: plane.height * plane.line_size].reshape(plane.height, -1)
        yield lines[:, : plane.width << deep]


@contextlib.contextmanager
def listening() -> Iterator[list[tuple[str, str]]]:
    """Context manager that collects the errors that FFmpeg logs in this thread, as (component, message)."""
    from av import logging

    level, skipped = logging.get_level(), logging.get_skip_repeated()
    logging.set_level(max(level or logging.ERROR, logging.ERROR))
    logging.set_skip_repeated(False)
    said: list[tuple[str, str]] = []
    try:
        with logging.Capture() as logs:
            yield said
    finally:
        said += [(name, message) for level_, name, message in logs if level_ <= logging.ERROR]
        logging.set_level(level)
        logging.set_skip_repeated(skipped)
