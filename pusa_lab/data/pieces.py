"""The clips that a run encodes, each by one of its processes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.data.cache import head_of, making_room
from pusa_lab.data.encoder import Encoder, encode_file, kept_by_codec, read_pixels, settle
from pusa_lab.data.folders import ClipFile
from pusa_lab.data.manifest import CacheSettings, FileState, difference
from pusa_lab.data.shared_work import SharedWork
from pusa_lab.data.unsealed import Unsealed
from pusa_lab.types import Clip


@checked
class Pieces:
    """The clips that are to be encoded, with the work that processes share; each encodes those that it takes.

    Args:
        model: whose codec and text encoder are used.
        settings: of the cache.
        unsealed: where each clip is written as soon as it is encoded.
        clips: with the states of their files, the same in all processes.
        work: of the run.
    """

    def __init__(
        self,
        model: Encoder,
        settings: CacheSettings,
        unsealed: Unsealed,
        clips: Sequence[tuple[ClipFile, FileState]],
        work: SharedWork,
    ) -> None:
        self.model, self.settings, self.unsealed, self.clips, self.work = model, settings, unsealed, clips, work
        self.numbers = {(state.hash, clip.caption): i for i, (clip, state) in enumerate(clips)}
        self.mine = work.take(len(clips))
        self.pixels: dict[int, Clip] = {}  # of the clip that was encoded last

    def encode_next(self) -> bool:
        """Encode the next clip that no process has taken, and tell what became of it; False if there is none.

        Raises:
            OSError: it cannot be written.
        """
        if (number := next(self.mine, None)) is None:
            return False
        (clip, state), reason = self.clips[number], ""
        try:
            pixels, latents, text = encode_file(self.model, clip, state, self.settings)
        except ValueError as error:
            reason = str(error)
        else:
            self.pixels = {number: pixels}
            with making_room(self.unsealed):
                self.unsealed.write((state.hash, clip.caption), latents[0], text)
        self.work.tell(f"clip {number}", reason)
        return True

    def is_new(self, clip: ClipFile, state: FileState) -> bool:
        """Whether a clip is encoded in this run, rather than left by a killed one.

        Args:
            clip: of the folder.
            state: of its file.
        """
        return (state.hash, clip.caption) in self.numbers

    def made(self, clip: ClipFile, state: FileState, measure: bool) -> tuple[dict[str, Tensor], float | None]:
        """What a clip was encoded to, and what the codec keeps of it in dB; other clips are encoded until it is there.

        Args:
            clip: of the folder.
            state: of its file.
            measure: whether to measure the codec.

        Raises:
            ValueError: the clip cannot be used; the message continues a sentence that begins with its name.
            OSError: a clip cannot be written.
        """
        key = (state.hash, clip.caption)
        number = self.numbers.get(key, -1)
        if number >= 0 and (reason := self._reason(number)):
            raise ValueError(reason)
        if (tensors := self.unsealed.read(key)) is None:
            raise ValueError(f"was encoded, but is gone from {self.unsealed.folder}: run the same command again.")
        if not measure:
            return tensors, None
        pixels = self.pixels.get(number)
        pixels = read_pixels(clip, self.settings) if pixels is None else pixels
        return tensors, kept_by_codec(self.model, pixels, tensors["latents"][None])

    def _reason(self, number: int) -> str:
        """Why a clip could not be encoded, or ""."""
        found: str | None
        while (found := self.work.heard(f"clip {number}")) is None:
            if not self.encode_next():
                found = self.work.wait(f"clip {number}")
                break
        return found


@checked
def encode_share(folder: str | Path, model: Encoder, out: str | Path, name: str, work: SharedWork, **sizes: Any) -> int:
    """Encode clips for the first process of a run, which writes the cache; return how many this one took.

    Args:
        folder: as the first process has it.
        model: the same as there.
        out: the same folder as there.
        name: as there.
        work: of the run.
        **sizes: size, num_frames, fps and start, as there.

    Raises:
        ValueError: this process would encode with other settings, or another process has failed.
        OSError: a clip cannot be written.
    """
    settings, _ = settle(model, name, **sizes)
    head, clips = work.wait("clips")
    if differs := difference(head, head_of(settings)):
        raise ValueError(
            f"the cache {out} {differs} by process {work.rank}: start all processes with the same model and pusa_lab."
        )
    found = [(ClipFile(Path(folder) / at, at, caption), FileState(*state)) for at, caption, *state in clips]
    pieces, count = Pieces(model, settings, Unsealed(Path(out), head), found, work), 0
    while pieces.encode_next():
        count += 1
        work.heard("end")  # whether another process has failed
    return count
