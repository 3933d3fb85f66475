"""Blocks of frames, as `schedules.blockwise` has them: B frames each, where frame 0 may be a block by itself."""

from dataclasses import dataclass

from pusa_lab.sentences import counted


@dataclass(frozen=True)
class Blocks:
    """Which block a frame belongs to: b = (i + a) // B, where a = B - 1 if frame 0 is alone, otherwise 0."""

    size: int
    """B, frames of a block, at least 1."""
    first_alone: bool = False
    """Whether frame 0 is a block by itself."""

    @property
    def ahead(self) -> int:
        """Frames that the first block lacks."""
        return self.size - 1 if self.first_alone else 0

    def start(self, frame: int) -> int:
        """First frame of the block of this one."""
        return max(0, (frame + self.ahead) // self.size * self.size - self.ahead)

    def end(self, frame: int) -> int:
        """The frame after the block of this one."""
        return (frame + self.ahead) // self.size * self.size + self.size - self.ahead

    def spans(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Parts of the frames from `start` to before `stop`, each the first of a block and the one after its last."""
        found = []
        while start < stop:
            found.append((start, min(self.end(start), stop)))
            start = found[-1][1]
        return found

    def check(self, frames: int) -> None:
        """Refuse frames that are not whole blocks.

        Args:
            frames: latent frames of a video.

        Raises:
            ValueError: as said.
        """
        if (rest := frames - (1 if self.first_alone else 0)) % self.size == 0:
            return
        fits = ", ".join(str(n) for n in range(1, rest + 1) if rest % n == 0)
        if self.first_alone:
            raise ValueError(
                f"{counted(frames, 'latent frame')}, the first one alone and the others in blocks of {self.size}: give "
                f"one more than a multiple of {self.size}, or causal(model, block=..., first_alone=True) with one of "
                f"{fits}."
            )
        raise ValueError(
            f"{counted(frames, 'latent frame')} in blocks of {self.size}: give a multiple of {self.size}, or "
            f"causal(model, block=...) with one of {fits}."
        )
