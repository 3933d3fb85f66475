"""NAL units of H.264 and HEVC: packets taken apart and put together again, and parameter sets of taller pictures."""

import re

from pusa_lab.arguments import checked

START = b"\0\0\1"
"""What stands before a unit where no length does."""
TAIL = bytes(range(0xA1, 0xB1))
"""What is put behind the data of a picture for its second reading: a sound one ends before, a damaged one reads on."""
SLICES, SEQUENCE, PICTURE = (1, 5), 7, 8
"""Types of units of H.264: slices, parameter sets of a sequence and of a picture."""
HIGH = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
"""Profiles of H.264 that say how colours are coded."""
ROWS = 32
"""Rows of macroblocks that a picture gets below."""


@checked
def units(data: bytes, length: int) -> list[bytes]:
    """The units of a packet, without zeros behind them.

    Args:
        data: the packet.
        length: bytes that tell a unit's size, 1 to 4, or 0 for start codes.

    Raises:
        ValueError: another length.
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
    """The units that stand before all packets of H.264.

    Args:
        extradata: as a container gives them, in either form.
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
    """A packet of these units.

    Args:
        parts: the units.
        length: as for `units`.

    Raises:
        ValueError: another length.
    """
    _check(length)
    return b"".join((len(part).to_bytes(length, "big") if length else START) + part for part in parts)


def _check(length: int) -> None:
    if not 0 <= length <= 4:
        raise ValueError(f"length={length}: give 1 to 4 bytes, or 0 for start codes.")


@checked
def with_tail(unit: bytes) -> bytes:
    """A unit of HEVC; if it is a slice, then with bytes behind it that no sound one reads.

    Args:
        unit: of any type.
    """
    return unit + TAIL if unit and unit[0] >> 1 & 63 < 32 else unit


@checked
def arithmetic(unit: bytes) -> bool:
    """Whether the slices that use a picture parameter set of H.264 are coded arithmetically (CABAC).

    Args:
        unit: the set; what is none counts as another code.
    """
    bits = "".join(f"{byte:08b}" for byte in unit[1:16])
    for _ in range(2):  # the numbers of this set and of the sequence's: as many zeros as bits after the first 1
        zeros = len(bits) - len(bits.lstrip("0"))
        bits = bits[2 * zeros + 1 :]
    return bits.startswith("1")


@checked
def taller(unit: bytes) -> bytes:
    """A sequence parameter set of H.264 whose pictures have `ROWS` more rows of macroblocks below.

    Macroblocks are decoded one after the other, however many rows there are; only the end of a slice ends them.

    Args:
        unit: the set; what is none comes back as it is.
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
    """Bits that are read one after the other.

    Args:
        data: bytes of them.
    """

    def __init__(self, data: bytes):
        self.text = "".join(f"{byte:08b}" for byte in data[:1024])
        self.at = 0

    def take(self, count: int) -> int:
        """A number of so many bits."""
        self.at += count
        return int("0" + self.text[self.at - count : self.at], 2)

    def number(self) -> int:
        """A number of as many zeros as it has bits after its first 1 (Exp-Golomb)."""
        zeros = self.text.index("1", self.at) - self.at
        self.at += zeros
        return self.take(zeros + 1) - 1


def _before_height(bits: _Bits) -> None:
    """Reads a sequence parameter set up to the height (ITU-T H.264, 7.3.2.1.1)."""
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
    """A scaling list: differences, until one leads to 0."""
    last = 8
    for _ in range(size):
        code = bits.number()
        last = (last + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
        if last == 0:
            return
