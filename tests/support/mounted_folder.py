"""A folder of a bucket of the stand-in for the Hub, as a job has it mounted: files appear whole, and a while later."""

from __future__ import annotations

from pathlib import Path

from tests.support.hub import Hub
from tests.support.walking import iter_contents


class MountedFolder:
    """`exchange` brings what has changed on either side to the other one, and takes out what is gone."""

    def __init__(self, hub: Hub, bucket: str, folder: str, path: Path) -> None:
        self.hub, self.bucket, self.prefix, self.path = hub, bucket, f"{folder}/", path
        self._known: dict[str, bytes] = {}
        path.mkdir(parents=True)
        self.exchange()

    def exchange(self) -> None:
        here = {path.relative_to(self.path).as_posix(): content for path, content in iter_contents(self.path)}
        for name, content in here.items():
            if self._known.get(name) != content:
                self.hub.put_file(self.bucket, self.prefix + name, content)
        files = self.hub.buckets[self.bucket]
        for name in self._known.keys() - here.keys():
            files.pop(self.prefix + name, None)
        self._known = {
            path.removeprefix(self.prefix): self.hub.read_file(self.bucket, path)
            for path in files
            if path.startswith(self.prefix)
        }
        for name, content in self._known.items():
            if here.get(name) != content:
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                (self.path / name).write_bytes(content)
        for name in here.keys() - self._known.keys():
            (self.path / name).unlink()
