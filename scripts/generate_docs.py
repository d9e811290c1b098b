"""Writes docs/virtio-features.md from the tables that the program itself goes by.

Run it after a change of vio4wd/vhost/features.py or requests.py; a test fails while the file is out of
date.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from vio4wd.vhost.features import PROTOCOL_FEATURES, VIRTIO_FEATURES, Feature, Protocol
from vio4wd.vhost.messages import BackendRequest, Request
from vio4wd.vhost.requests import LEFT_OUT, REQUESTS

#: The file, in a checkout.
PATH: Final = Path(__file__).resolve().parent.parent / "docs/virtio-features.md"

_HEAD: Final = """\
# What guests and frontends can negotiate

A guest's driver and VIO4WD agree on *device features*, the frontend (QEMU, or DPDK's virtio-user) and
VIO4WD on *protocol features*; then they exchange messages. Here is each of them as the specifications
(virtio 1.3, vhost-user) number it, whether VIO4WD has it, and what for or why not.

This file is made by `scripts/generate_docs.py` from the tables of the program (`vio4wd/vhost/features.py`
and `requests.py`). Do not edit it.
"""


def document() -> str:
    """The text of the file."""
    sections = (
        ("Device features", _feature_rows(VIRTIO_FEATURES), "Bit | Feature | Offered | Why"),
        ("Protocol features", _feature_rows(PROTOCOL_FEATURES), "Bit | Feature | Offered | Why"),
        (
            "Messages from the frontend",
            _request_rows(),
            "Number | Message | Supported | What for, or why not",
        ),
        ("Messages from the backend", _backend_rows(), "Number | Message | Supported | Why"),
    )
    return _HEAD + "".join(_section(*section) for section in sections)


def _section(title: str, rows: Iterable[tuple[str, ...]], columns: str) -> str:
    lines = [columns, *(" | ".join(row) for row in rows)]
    lines.insert(1, " | ".join("---" for _ in columns.split(" | ")))
    return f"\n## {title}\n\n" + "".join(f"| {line} |\n" for line in lines)


def _feature_rows(features: Iterable[Feature]) -> Iterable[tuple[str, ...]]:
    for feature in features:
        yield str(feature.bit), f"`{feature.name}`", feature.support.value, feature.why


def _request_rows() -> Iterable[tuple[str, ...]]:
    for request in Request:
        name = f"`VHOST_USER_{request.name}`"
        if request in REQUESTS:
            yield str(int(request)), name, "yes", _what(request)
        else:
            yield str(int(request)), name, "no", _why_not(LEFT_OUT[request])


def _what(request: Request) -> str:
    """What a message does: the first sentence of its handler's documentation, after its name."""
    text = (REQUESTS[request].handler.__doc__ or "").split("\n\n", maxsplit=1)[0]
    _, _, what = " ".join(text.split()).partition(": ")
    return what.rstrip(".")


def _why_not(reason: Protocol | str) -> str:
    if isinstance(reason, str):
        return reason
    feature = next(feature for feature in PROTOCOL_FEATURES if feature.flag is reason)
    return f"`{feature.name}` is not offered: {feature.why}"


def _backend_rows() -> Iterable[tuple[str, ...]]:
    for request in BackendRequest:
        yield str(int(request)), f"`VHOST_USER_BACKEND_{request.name}`", "no", _why_not(Protocol.BACKEND_REQ)


def main() -> None:
    """Write the file."""
    PATH.write_text(document())


if __name__ == "__main__":
    main()
