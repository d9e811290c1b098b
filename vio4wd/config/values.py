"""What the values of options mean: one function for each kind, from text to value.

Each raises ValueError with a message that names the text and says what would have been right; the
caller puts the option's or the variable's place in front of it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from vio4wd.config.pci import parse_pci
from vio4wd.limits import MAX_RELAYS, MAX_VF_QUEUES, SOCKET_PATH_BYTES

_OFF: Final = frozenset(("", "false", "no", "0"))
_NETDEV: Final = re.compile(r"[^\s/:,]{1,15}(?::[1-9][0-9]{0,3})?")
_REMOTE: Final = re.compile(
    r"(?:tcp|ssl):(?P<address>[^\s:\[\]]+|\[[^\s\[\]]+\]):(?P<port>[0-9]{1,5})", re.ASCII
)

#: A relay, and CPUs of VF->VM and VM->VF in turn: a pair for all of its lanes, or for each.
Pin = tuple[int, tuple[int, ...]]
StaticVf = tuple[str, int]
Idle = Literal["poll", "adaptive"]


def number_in(low: int, high: int, what: str) -> Callable[[str], int]:
    """A converter for whole decimal numbers from `low` to `high`; `what` begins its error messages."""

    def convert(text: str) -> int:
        number = _digits(text)
        if number is None or not low <= number <= high:
            raise ValueError(f"{what} {text!r} is not a number from {low} to {high}")
        return number

    return convert


def _digits(text: str) -> int | None:
    """The number, or None for anything but a few plain ASCII digits (int() takes far more)."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


cpu = number_in(0, 8191, "CPU")
relay = number_in(0, MAX_RELAYS - 1, "relay")
vf_queues = number_in(1, MAX_VF_QUEUES, "number of queues")
log_level = number_in(0, 7, "log level")
descriptor = number_in(0, 1 << 20, "file descriptor")


def cpus(text: str) -> tuple[int, ...]:
    """CPU numbers in the order given: `1,2`, or the set bits of `0x6`."""
    if text.strip().lower().startswith("0x"):
        try:
            mask = int(text, 16)
        except ValueError:
            raise ValueError(f"{text!r} is not a hexadecimal bitmap of CPUs such as 0x6") from None
        numbers = tuple(bit for bit in range(mask.bit_length()) if mask >> bit & 1)
    else:
        try:
            numbers = tuple(cpu(part) for part in text.split(","))
        except ValueError as error:
            raise ValueError(f"{text!r} is no list of CPUs such as 1,2 or 0x6: {error}") from None
    if not numbers:
        raise ValueError(f"{text!r} names no CPU")
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{text!r} names a CPU twice")
    return numbers


def switch(text: str) -> bool:
    """True unless the text is blank, `false`, `no` or `0`."""
    return text.strip().lower() not in _OFF


def only_true(text: str) -> bool:
    """True for `true`, False for anything that means off.

    Raises:
        ValueError: neither, as `yes`: the guide asks for `true`, and a balancer that silently stays off
            would be looked for elsewhere.
    """
    if text.strip().lower() == "true":
        return True
    if switch(text):
        raise ValueError(f"{text!r} is neither true nor false")
    return False


def path(text: str) -> Path:
    """An absolute path."""
    if not text.startswith("/") or "\0" in text:
        raise ValueError(f"{text!r} is not an absolute path")
    return Path(text)


def command_file(text: str) -> Path | None:
    """Where commands are watched for: a path, or the old place for any other value that means on."""
    if text.startswith("/"):
        return path(text)
    return Path(COMMAND_FILE) if switch(text) else None


COMMAND_FILE: Final = "/tmp/vio_cmd"  # the old daemon's


def endpoint(text: str) -> str:
    """A ZeroMQ endpoint that a server can bind: `ipc://PATH` (or just PATH) or `tcp://ADDRESS:PORT`."""
    text = f"ipc://{text}" if text.startswith("/") else text
    scheme, separator, rest = text.partition("://")
    if separator and scheme == "tcp" and re.fullmatch(r"\S+:(?:\d{1,5}|\*)", rest):
        return text
    if separator and scheme == "ipc" and rest:
        if len(rest.encode()) > SOCKET_PATH_BYTES:
            raise ValueError(f"{text!r} is too long: a socket's path has at most {SOCKET_PATH_BYTES} bytes")
        return text
    raise ValueError(f"{text!r} is no endpoint: write ipc:///PATH or tcp://ADDRESS:PORT")


def ovsdb_remote(text: str) -> str:
    """An OVSDB server: a socket's path, `unix:PATH`, `tcp:ADDRESS:PORT` or `ssl:ADDRESS:PORT`.

    Addresses are numeric: the ovs package resolves names only with a library that is seldom there.
    """
    if text.startswith("/"):
        return f"unix:{text}"
    if text.startswith("unix:/") and len(text) > len("unix:/"):
        return text
    match = _REMOTE.fullmatch(text)
    with contextlib.suppress(ValueError):
        if match and ipaddress.ip_address(match["address"].strip("[]")) and int(match["port"]) <= 0xFFFF:
            return text
    raise ValueError(
        f"{text!r} is no OVSDB server: write /PATH, tcp:ADDRESS:PORT or ssl:ADDRESS:PORT, in numbers"
    )


def socket_pattern(text: str) -> str:
    """The name of vhost-user sockets, with `%u` where the relay's number goes."""
    if text.count("%") != 1 or text.count("%u") != 1 or "/" in text:
        raise ValueError(f"{text!r} is not a file name with exactly one %u, as in virtio-forwarder%u.sock")
    return text


def account(text: str) -> str:
    """The name or number of a user or group."""
    if not re.fullmatch(r"[^\s:/,]+", text):
        raise ValueError(f"{text!r} is no user or group")
    return text


def pins(text: str) -> tuple[Pin, ...]:
    """Relays and the CPUs of their two directions: `1:2` or `1:2,3`, several separated by `;`.

    Further pairs of CPUs are for a relay's further lanes: `1:2,3,4,5`.
    The guide shows the value with and without `--virtio-cpu=` in front; both are taken.
    """
    found: list[Pin] = []
    for part in re.split(r";|--virtio-cpu=", text):
        if not part.strip():
            continue
        head, colon, tail = part.partition(":")
        numbers = tail.split(",")
        try:
            if not colon or (len(numbers) > 1 and len(numbers) % 2) or len(numbers) > 2 * MAX_VF_QUEUES:
                raise ValueError(
                    f"that is not of the form RELAY:CPU[,CPU] with up to {MAX_VF_QUEUES} pairs of CPUs"
                )
            cpus = tuple(map(cpu, numbers))
            found.append((relay(head), cpus * 2 if len(cpus) == 1 else cpus))
        except ValueError as error:
            raise ValueError(f"{part.strip()!r}: {error}") from None
    return tuple(found)


def static_vf(text: str) -> tuple[StaticVf, ...]:
    """A device and the relay it is attached to at start: `0000:05:08.1=1`, split at the last `=`."""
    device, separator, number = text.strip().rpartition("=")
    if not separator or not device:
        raise ValueError(f"{text!r} is not of the form DEVICE=RELAY")
    try:
        address = parse_pci(device)
        return ((device if address is None else str(address), relay(number)),)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None


def token(text: str) -> str:
    """A UUID."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError(f"{text!r} is not a UUID such as 14d63f20-8445-11ea-8900-1f9ce7d5650d") from None


def positive(text: str) -> float:
    """A number larger than 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{text!r} is not a number larger than 0")
    return number


def binding_list(text: str) -> tuple[str, ...]:
    """Devices to bind to vfio-pci: PCI addresses, `netdev`, or `netdev:count`, separated by commas."""
    devices = []
    for part in (part.strip() for part in text.split(",")):
        if not part:
            continue
        address = parse_pci(part)
        if address is None and not _NETDEV.fullmatch(part):
            raise ValueError(f"{part!r} is neither a PCI address nor NETDEV or NETDEV:COUNT")
        devices.append(part if address is None else str(address))
    return tuple(devices)


def idle(text: str) -> Idle:
    """What a worker without packets does."""
    match text:
        case "poll":
            return "poll"
        case "adaptive":
            return "adaptive"
    raise ValueError(f"{text!r} is neither poll nor adaptive")
