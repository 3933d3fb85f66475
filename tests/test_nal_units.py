"""pytest tests/test_nal_units.py: packets of H.264 and HEVC taken apart, put together and made taller."""

import av
import pytest
from foreign import clips
from wan_tiny import refused

from pusa_lab.data import nal_units

PARTS = [b"\x67abc", b"\x68d", b"\x65" + bytes(range(1, 200))]


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4])
def test_units_come_back(length):
    packet = nal_units.joined(PARTS, length)
    assert nal_units.units(packet, length) == PARTS
    assert nal_units.units(nal_units.joined([p + b"\0" for p in PARTS], length), length) == PARTS
    assert nal_units.units(b"", length) == []


@pytest.mark.parametrize("length", [-1, 5])
def test_other_lengths_are_refused(length):
    refused("length=-?[15]: give 1 to 4 bytes, or 0", nal_units.units, b"", length)
    refused("length=-?[15]: give 1 to 4 bytes, or 0", nal_units.joined, [], length)


def test_only_slices_of_hevc_get_a_tail():
    assert nal_units.with_tail(b"\x02\x01a") == b"\x02\x01a" + nal_units.TAIL
    assert nal_units.with_tail(b"\x42\x01a") == b"\x42\x01a"
    assert nal_units.with_tail(b"") == b""


def first(path):
    """What stands before a clip's packets, and the units of the first of them."""
    with av.open(str(path)) as container:
        data = container.streams.video[0].codec_context.extradata
        return nal_units.parameter_sets(data), nal_units.units(bytes(next(container.demux())), 4 * (data[0] == 1))


def decoded(parts):
    """Height, width and format of the picture in these units."""
    context = av.CodecContext.create("h264", "r")
    context.options = {"flags": "output_corrupt"}
    [frame] = [*context.decode(av.Packet(nal_units.joined(parts, 0))), *context.decode(None)]
    return frame.height, frame.width, frame.format.name


@pytest.mark.parametrize("how", ["plain", "CAVLC", "scaling lists", "10 bits", "4:4:4", "in a transport stream"])
def test_parameter_sets_are_found_and_made_taller(tmp_path, how):
    suffix = ".mp4" if how in clips.H264 else ".ts"
    sets, units = first(clips.h264(tmp_path / f"a{suffix}", how if how in clips.H264 else "plain"))
    assert [unit[0] & 31 for unit in sets if unit[0] & 31 in (7, 8)] == [7, 8]
    assert [nal_units.arithmetic(unit) for unit in sets if unit[0] & 31 == 8] == [how != "CAVLC"]
    slices = [unit for unit in units if unit[0] & 31 == 5]
    taller = [nal_units.taller(unit) if unit[0] & 31 == 7 else unit for unit in sets]
    height, *others = decoded([*sets, *slices])
    assert decoded([*taller, *slices]) == (height + 16 * nal_units.ROWS, *others)


@pytest.mark.parametrize("unit", [b"", b"\x67", b"\x67\x64\0\x0a", b"\x67\x64\0\x0a\xff\xff", b"\x67" + bytes(50)])
def test_what_is_no_parameter_set_stays(unit):
    assert nal_units.taller(unit) == unit
    assert not nal_units.arithmetic(bytes(16))
    assert nal_units.parameter_sets(b"\1") == []
