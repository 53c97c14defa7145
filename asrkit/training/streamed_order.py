"""The order of streamed clips: pieces shuffled, then a buffer of them, whose clips make batches of like lengths.

What an epoch does follows from its number and the seed. Pieces are shuffled and dealt out to the processes of a run,
each to the one that has least so far. A process takes them in buffers: it needs the pieces of one buffer at a time,
while those of the next are fetched, so each is fetched about once an epoch. The buffers of the first epoch begin small,
so that the first step comes soon. Every epoch has the same number of batches: of one that needs fewer the largest are
halved, of one that needs more the smallest are joined.
"""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asrkit.data.batch_cuts import cut_batches
from asrkit.data.manifest import Column, Utterance
from asrkit.data.mix import Mix
from asrkit.data.streams import origins
from asrkit.training.batching import EpochBatchSampler, make_keys

MAX_BUFFER_CLIPS = 4096
"""Clips of a buffer, whose lengths make batches with little padding."""
BUFFERS_IN_CACHE, BUFFERS_AHEAD = 4, 2
"""One is in use, others are fetched ahead; the rest is for evaluations, and for what is not removed yet."""
LOCAL_PIECE_CLIPS = 100
"""Of clips that are on this machine, and trained on beside streamed ones."""
FIRST_BUFFER_PIECES, BUFFER_GROWTH = 2, 1.25
"""Of the first epoch. Each buffer is fetched while the one before it is trained on: a link that is faster than the
training by this factor is not waited for."""
SPARE_BATCHES = 0.01
"""Share of batches that an epoch may have more than the first without any being joined."""


@dataclass(frozen=True)
class Pieces:
    """of_clip: the number of each clip's piece, (clips,). paths: empty for one on this machine. num_bytes: (pieces,)"""

    of_clip: np.ndarray
    paths: Sequence[str]
    num_bytes: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Utterance], seed: int) -> Pieces | None:
        """Return the pieces of these clips; None if none is streamed."""
        numbers: dict[str, int] = {}
        of_clip = np.array([_number(audio, numbers) for audio in Column("audio", rows)], int)
        if not numbers:
            return None
        found = {
            folder: origin.groups for folder, origin in origins.list_origins(f"{path}/-" for path in numbers).items()
        }
        num_bytes = [found[path.rpartition("/")[0]][int(path.rpartition("/")[2])].audio_bytes for path in numbers]
        local = np.flatnonzero(of_clip < 0)
        shuffled = np.random.default_rng([seed, len(local)]).permutation(local)
        of_clip[shuffled] = len(numbers) + np.arange(len(local)) // LOCAL_PIECE_CLIPS
        num_local = -(-len(local) // LOCAL_PIECE_CLIPS)
        return cls(of_clip, [*numbers, *[""] * num_local], np.array([*num_bytes, *[0] * num_local]))

    def order(self, seed: int) -> np.ndarray:
        """Return the clips in an order of which every beginning is from few pieces, (clips,)."""
        rng = np.random.default_rng(seed)
        ranks = rng.permutation(len(self.paths))
        shuffled = rng.permutation(len(self.of_clip))
        return shuffled[np.argsort(ranks[self.of_clip[shuffled]], kind="stable")]

    def cut(self, clips: Sequence[int], max_bytes: float) -> list[list[int]]:
        """Cut clips, in order, into parts that need pieces of so many bytes and have `MAX_BUFFER_CLIPS` at most.

        Clips of one piece become neighbours.
        """
        by_piece: dict[int, list[int]] = {}
        for clip in clips:
            by_piece.setdefault(int(self.of_clip[clip]), []).append(clip)
        parts: list[list[int]] = []
        room_bytes = 0.0
        for piece, members in by_piece.items():
            if not parts or self.num_bytes[piece] > room_bytes or len(parts[-1]) + len(members) > MAX_BUFFER_CLIPS:
                parts.append([])
                room_bytes = max_bytes
            parts[-1] += members
            room_bytes -= self.num_bytes[piece]
        return parts

    def list_paths(self, clips: Sequence[int]) -> list[str]:
        """Return the paths of the pieces of these clips, in order."""
        numbers = dict.fromkeys(self.of_clip[clips].tolist())
        return [path for number in numbers if (path := self.paths[number])]


def _number(audio: str, numbers: dict[str, int]) -> int:
    piece = origins.piece_of(audio)
    return numbers.setdefault(piece, len(numbers)) if piece else -1


class StreamedBatchSampler(EpochBatchSampler):
    """A batch sampler that yields what `LengthBatchSampler` yields, in an order for streamed clips.

    max_buffer_bytes: of the pieces of a buffer. The other arguments are those of `LengthBatchSampler`.
    """

    def __init__(
        self,
        durations_s: np.ndarray,
        pieces: Pieces,
        *,
        batch_seconds: float,
        batch_size: int,
        max_buffer_bytes: float,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        mix: Mix | None = None,
    ) -> None:
        self.durations_s, self.pieces, self.mix = durations_s, pieces, mix
        self.batch_seconds, self.batch_size, self.max_buffer_bytes = batch_seconds, batch_size, max_buffer_bytes
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.list_buffers = functools.lru_cache(maxsize=2)(self._list_buffers)
        counts = [sum(map(len, self._make_batches(0, other))) for other in range(world_size)]
        self.num_batches = math.ceil(max(counts) * (1 + SPARE_BATCHES))

    def iter_epoch(self, epoch: int) -> Iterator[list[tuple[int, ...]]]:
        slots, repeats = self._draw(epoch)
        buffers = _fit(self._make_batches(epoch, self.rank), self.num_batches, self.durations_s[slots])
        rng = np.random.default_rng([self.seed, epoch, self.rank, 1])
        num_yielded = 0
        for batches in buffers:
            order = rng.permutation(len(batches))
            if epoch == 0 and num_yielded == 0:
                # A run that does not fit fails early.
                order = order[np.argsort([-self._padded_s(batches[n], slots) for n in order], kind="stable")]
            for number in order:
                num_yielded += 1
                yield make_keys(epoch, slots, repeats, batches[number])
        # Every process gets the same number of batches; where clips are too few, missing ones are repeated.
        every = [batch for batches in buffers for batch in batches]
        for number in range(self.num_batches - num_yielded if every else 0):
            yield make_keys(epoch, slots, repeats, every[number % len(every)])

    def _list_buffers(self, epoch: int, rank: int) -> list[list[int]]:
        """Return the pieces of each buffer of an epoch."""
        slots, _ = self._draw(epoch)
        of_slot = self.pieces.of_clip[slots]
        num_clips = np.bincount(of_slot, minlength=len(self.pieces.paths))
        seconds = np.bincount(of_slot, self.durations_s[slots], len(self.pieces.paths))
        order = np.random.default_rng([self.seed, epoch]).permutation(np.flatnonzero(num_clips))
        if len(order) < self.world_size:  # so little data is not parted
            own = order.tolist()
        else:
            own = _deal_out(order.tolist(), seconds, self.world_size)[rank]
        buffers: list[list[int]] = []
        room_clips, room_bytes, room_pieces = 0.0, 0.0, 0.0
        for piece in own:
            fits = num_clips[piece] <= room_clips and self.pieces.num_bytes[piece] <= room_bytes and room_pieces >= 1
            if not fits:
                ramp = _limit_buffer(len(buffers)) if epoch == 0 else math.inf
                room_clips, room_bytes, room_pieces = MAX_BUFFER_CLIPS, self.max_buffer_bytes, ramp
                buffers.append([])
            buffers[-1].append(piece)
            room_clips -= num_clips[piece]
            room_bytes -= self.pieces.num_bytes[piece]
            room_pieces -= 1
        return buffers

    def _make_batches(self, epoch: int, rank: int) -> list[list[np.ndarray]]:
        """Return the batches of each buffer, as slots of the epoch."""
        slots, _ = self._draw(epoch)
        by_piece = np.argsort(self.pieces.of_clip[slots], kind="stable")
        starts = np.searchsorted(self.pieces.of_clip[slots][by_piece], np.arange(len(self.pieces.paths) + 1))
        rng = np.random.default_rng([self.seed, epoch, rank])
        made = []
        for buffer in self.list_buffers(epoch, rank):
            members = np.concatenate([by_piece[starts[piece] : starts[piece + 1]] for piece in buffer])
            members = rng.permutation(members)
            members = members[np.argsort(-self.durations_s[slots[members]], kind="stable")]
            cuts = cut_batches(self.durations_s[slots[members]], self.batch_seconds, self.batch_size)
            for first in range(cuts.num_oversized, len(cuts.cuts) - 1, cuts.window):
                begin, end = cuts.cuts[first], cuts.cuts[min(first + cuts.window, len(cuts.cuts) - 1)]
                members[begin:end] = rng.permutation(members[begin:end])
            made.append(np.split(members, cuts.cuts[1:-1]))
        return made

    def _draw(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the clip of each slot of an epoch, and how often it has come in that before."""
        if self.mix:
            return self.mix.draw(epoch)
        every = np.arange(len(self.durations_s))
        return every, np.zeros_like(every)

    def _padded_s(self, batch: np.ndarray, slots: np.ndarray) -> float:
        return len(batch) * float(self.durations_s[slots[batch]].max())


class UpcomingPieces:
    """Which pieces are needed next, by the clips that a process is asked for."""

    def __init__(self, sampler: StreamedBatchSampler) -> None:
        self.sampler = sampler
        self._position = (-1, -1)
        self._number_of_piece: tuple[int, dict[int, int]] = (-1, {})

    def note(self, epoch: int, clip: int) -> list[str] | None:
        """Return the paths of the pieces of this clip's buffer and of the next ones; None if nothing has changed."""
        sampler, rank = self.sampler, self.sampler.rank
        buffers = sampler.list_buffers(epoch, rank)
        if self._number_of_piece[0] != epoch:
            numbers = {piece: number for number, buffer in enumerate(buffers) for piece in buffer}
            self._number_of_piece = epoch, numbers
        number = self._number_of_piece[1].get(int(sampler.pieces.of_clip[clip]), 0)
        if (epoch, number) <= self._position:
            return None
        self._position = epoch, number
        following = buffers[number + 1 : number + 1 + BUFFERS_AHEAD]
        if missing := BUFFERS_AHEAD - len(following):
            following = following + sampler.list_buffers(epoch + 1, rank)[:missing]
        paths = [sampler.pieces.paths[piece] for buffer in (buffers[number], *following) for piece in buffer]
        return list(filter(None, paths))


def _limit_buffer(number: int) -> float:
    """Return the number of pieces of a buffer of the first epoch."""
    return FIRST_BUFFER_PIECES * BUFFER_GROWTH ** min(number, 100)


def _deal_out(order: Sequence[int], seconds: np.ndarray, world_size: int) -> list[list[int]]:
    """Give each piece to the process that has the fewest seconds so far."""
    heap = [(0.0, rank) for rank in range(world_size)]
    dealt: list[list[int]] = [[] for _ in range(world_size)]
    for piece in order:
        total_s, rank = heapq.heappop(heap)
        dealt[rank].append(piece)
        heapq.heappush(heap, (total_s + float(seconds[piece]), rank))
    return dealt


def _fit(buffers: list[list[np.ndarray]], count: int, durations_s: np.ndarray) -> list[list[np.ndarray]]:
    """Halve the largest batches, or join the smallest of a buffer, until there are `count`."""
    total = sum(map(len, buffers))

    def size(batch: np.ndarray) -> float:
        return len(batch) * float(durations_s[batch].max())

    largest = [
        (-size(batch), number, place) for number, batches in enumerate(buffers) for place, batch in enumerate(batches)
    ]
    heapq.heapify(largest)
    while total < count and largest:
        _, number, place = heapq.heappop(largest)
        batch = buffers[number][place]
        if len(batch) < 2:
            continue
        first, second = batch[: len(batch) // 2], batch[len(batch) // 2 :]
        buffers[number][place] = first
        buffers[number].append(second)
        heapq.heappush(largest, (-size(first), number, place))
        heapq.heappush(largest, (-size(second), number, len(buffers[number]) - 1))
        total += 1
    while total > count:
        pairs = [(sum(sorted(map(size, batches))[:2]), n) for n, batches in enumerate(buffers) if len(batches) > 1]
        if not pairs:
            if len(buffers) < 2:
                break
            buffers[-2:] = [buffers[-2] + buffers[-1]]
            continue
        batches = buffers[min(pairs)[1]]
        batches.sort(key=size)
        batches[:2] = [np.concatenate(batches[:2])]
        total -= 1
    return buffers
