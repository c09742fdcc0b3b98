"""The sample frames of `tests/data/frames.jsonl`, each with its name, channel and direction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple


class Sample(NamedTuple):
    name: str
    channel: str
    direction: str
    """``send`` or ``recv``, from the client's side."""
    frame: Any

    @property
    def json(self) -> bytes:
        return json.dumps(self.frame, separators=(",", ":")).encode()


def _load() -> list[Sample]:
    path = Path(__file__).parent.parent / "data" / "frames.jsonl"
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [Sample(row["name"], row["channel"], row["dir"], row["frame"]) for row in rows]


FRAMES: Final = _load()


def sample(name: str) -> Sample:
    return next(one for one in FRAMES if one.name == name)
