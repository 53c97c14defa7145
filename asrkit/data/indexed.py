"""Sequences whose items are made when they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, overload

Item = TypeVar("Item")


class IndexedSequence(Sequence[Item]):
    """A sequence of a subclass that makes one item by its index; a slice is a list."""

    @abstractmethod
    def make_item(self, index: int) -> Item:
        """Make an item; index: not negative, below the length."""

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        positions = range(len(self))[index]
        return self.make_item(positions) if isinstance(positions, int) else self.make_items(positions)

    def make_items(self, positions: range) -> list[Item]:
        """Make the items of a slice. A subclass may do so faster than one by one."""
        return list(map(self.make_item, positions))
