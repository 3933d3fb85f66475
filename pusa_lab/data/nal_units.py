"""NAL units of H.264 and HEVC: packets taken apart and put together again, and parameter sets of taller pictures."""

import re

from pusa_lab.arguments import checked

START = b"\0\0\1"
"""Start code, before a unit that no length precedes."""
TAIL = bytes(range(0xA1, 0xB1))
"""Bytes appended to the data of a picture for the second pass: only a damaged picture reads into them."""
SLICES, SEQUENCE, PICTURE = (1, 5), 7, 8
"""Unit types of H.264: slices, sequence parameter sets and picture parameter sets."""
HIGH = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
"""Profiles of H.264 whose sequence parameter sets describe the colour format."""
ROWS = 32
"""Rows of macroblocks that are added below a picture."""


@checked
def units(data: bytes, length: int) -> list[bytes]:
    """Return the units of a packet, without trailing zeros.

    Args:
        data: the packet.
        length: size of the length field of a unit, 1 to 4 bytes, or 0 for start codes.

    Raises:
        ValueError: the length is out of range.
    """
    _check(length)
    if not length:
        return [unit.rstrip(b"\0") for unit in data.split(START)[1:]]
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + length], "big")
        found.append(data[at + length : at + length + size].rstrip(b"\0"))
        at += length + size
    return found


@checked
def parameter_sets(extradata: bytes) -> list[bytes]:
    """Return the parameter sets of an H.264 stream.

    Args:
        extradata: the codec's extradata from the container, in avcC or Annex B form.
    """
    if extradata[:1] != b"\1":
        return units(extradata, 0)
    found, at = [], 5
    for mask in (31, 255):
        count, at = int.from_bytes(extradata[at : at + 1], "big") & mask, at + 1
        for _ in range(count):
            size, at = int.from_bytes(extradata[at : at + 2], "big"), at + 2
            found.append(extradata[at : at + size])
            at += size
    return [unit for unit in found if unit]


@checked
def joined(parts: list[bytes], length: int) -> bytes:
    """Return a packet of these units.

    Args:
        parts: the units.
        length: size of the length field of a unit, 1 to 4 bytes, or 0 for start codes.

    Raises:
        ValueError: the length is out of range, or too small for a unit.
    """
    _check(length)
    if length and (long := max(map(len, parts), default=0)) >= 256**length:
        raise ValueError(f"length={length} for a unit of {long} bytes: give more bytes for its size.")
    return b"".join((len(part).to_bytes(length, "big") if length else START) + part for part in parts)


def _check(length: int) -> None:
    if not 0 <= length <= 4:
        raise ValueError(f"length={length}: give 1 to 4 bytes, or 0 for start codes.")


@checked
def with_tail(unit: bytes) -> bytes:
    """Return a unit of HEVC, with `TAIL` appended if it is a slice; an intact slice does not read it.

    Args:
        unit: of any type.
    """
    return unit + TAIL if unit and unit[0] >> 1 & 63 < 32 else unit


@checked
def arithmetic(unit: bytes) -> bool:
    """Whether a picture parameter set of H.264 says that slices are coded arithmetically (CABAC).

    Args:
        unit: the parameter set.
    """
    bits = "".join(f"{byte:08b}" for byte in unit[1:16])
    for _ in range(2):  # past the ids of this set and of its sequence: n zeros, a 1 and n more bits each
        zeros = len(bits) - len(bits.lstrip("0"))
        bits = bits[2 * zeros + 1 :]
    return bits.startswith("1")


@checked
def taller(unit: bytes) -> bytes:
    """Return a sequence parameter set of H.264 whose pictures have `ROWS` more rows of macroblocks below.

    Macroblocks are decoded one after the other, however many rows there are; only the end of a slice ends them.

    Args:
        unit: the parameter set; one that cannot be read is returned as it is.
    """
    bits = _Bits(unit.replace(b"\0\0\3", b"\0\0"))
    try:
        _before_height(bits)
        at, rows = bits.at, bits.number()
    except ValueError:
        return unit
    number = f"{rows + ROWS + 1:b}"
    new = bits.text[:at] + "0" * (len(number) - 1) + number + bits.text[bits.at :].rstrip("0")
    data = int(new.ljust(-len(new) % 8 + len(new), "0"), 2).to_bytes((len(new) + 7) // 8, "big")
    return re.sub(b"\0\0(?=[\0-\3])", b"\0\0\3", data)


class _Bits:
    """A reader of bits.

    Args:
        data: bytes, of which the first 1024 are read.
    """

    def __init__(self, data: bytes):
        self.text = "".join(f"{byte:08b}" for byte in data[:1024])
        self.at = 0

    def take(self, count: int) -> int:
        """Read an unsigned number of `count` bits."""
        self.at += count
        return int("0" + self.text[self.at - count : self.at], 2)

    def number(self) -> int:
        """Read an unsigned Exp-Golomb number: n zeros, then a number of n + 1 bits, minus 1."""
        zeros = self.text.index("1", self.at) - self.at
        self.at += zeros
        return self.take(zeros + 1) - 1


def _before_height(bits: _Bits) -> None:
    """Read a sequence parameter set up to the height (ITU-T H.264, 7.3.2.1.1)."""
    bits.take(8)
    profile = bits.take(24) >> 16
    bits.number()
    if profile in HIGH:
        _colours(bits)
    bits.number()
    kind = bits.number()
    if kind == 0:
        bits.number()
    elif kind == 1:
        bits.take(1)
        for _ in range(2):
            bits.number()
        for _ in range(bits.number()):
            bits.number()
    bits.number()
    bits.take(1)
    bits.number()


def _colours(bits: _Bits) -> None:
    colours = bits.number()
    bits.take(int(colours == 3))
    bits.number()
    bits.number()
    bits.take(1)
    if bits.take(1):
        for number in range(12 if colours == 3 else 8):
            if bits.take(1):
                _list(bits, 16 if number < 6 else 64)


def _list(bits: _Bits, size: int) -> None:
    """Read a scaling list: differences, until one leads to 0."""
    last = 8
    for _ in range(size):
        code = bits.number()
        last = (last + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
        if last == 0:
            return
