"""What is wrong only in combination, or only on this machine."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from vio4wd.config.given import Given
from vio4wd.config.table import DEFAULT_GROUP, DEFAULT_USER, OPTIONS
from vio4wd.limits import MAX_RELAYS, MAX_WORKERS, SOCKET_PATH_BYTES

#: The three ways to attach VFs at run time; two of them would undo each other's work.
_CONTROLS: Final = {
    "zmq_port_control_ep": "ZeroMQ port control",
    "ovsdb_sock": "the OVSDB monitor",
    "ipc": "the command file",
}
_ONLINE: Final = Path("/sys/devices/system/cpu/online")
_OPTIONS: Final = {option.field: option for option in OPTIONS}


def online_cpus() -> frozenset[int]:
    """Numbers of the CPUs that run, from the kernel's list such as "0-3,8"."""
    found: set[int] = set()
    for part in _ONLINE.read_text().strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def cross_check(
    fields: dict[str, Any],
    given: Mapping[str, Given],
    online: frozenset[int],
    errors: list[str],
    warnings: list[str],
) -> None:
    """Check the fields against each other and the machine, and give `pins` its final form.

    Args:
        fields: converted values by field; those not given or wrong are missing.
        given: where each was written.
    """
    _check_cpus(fields, given, online, errors, warnings)
    _check_pins(fields, given, errors)
    _check_static_vfs(fields, given, errors)
    _check_controls(fields, given, errors, warnings)
    _check_accounts(fields, given, errors, warnings)
    _check_sockets(fields, given, errors)
    _check_backend(fields, given, errors)


def _names(field: str) -> str:
    """How the operator can set a field, for messages about one that was not given."""
    option = _OPTIONS[field]
    return " or ".join((*option.flags[-1:], *option.variables[:1]))


def _check_cpus(
    fields: dict[str, Any],
    given: Mapping[str, Given],
    online: frozenset[int],
    errors: list[str],
    warnings: list[str],
) -> None:
    machine = ",".join(str(cpu) for cpu in sorted(online))
    if "cpus" not in given:
        errors.append(f"no worker CPUs: give them with {_names('cpus')}")
    for cpu in fields.get("cpus", ()):
        if cpu not in online:
            errors.append(f"{given['cpus'].origin}: CPU {cpu} does not exist here, there are {machine}")
    if len(fields.get("cpus", ())) > MAX_WORKERS:
        errors.append(f"{given['cpus'].origin}: more than {MAX_WORKERS} CPUs")
    master = fields.get("master_lcore", 0)
    origin = given["master_lcore"].origin if "master_lcore" in given else _names("master_lcore")
    if master not in online:
        errors.append(f"{origin}: CPU {master} does not exist here, there are {machine}")
    elif master in fields.get("cpus", ()):
        warnings.append(f"{origin}: CPU {master} is a worker's too, master and worker will share it")


def _check_pins(fields: dict[str, Any], given: Mapping[str, Given], errors: list[str]) -> None:
    pins: dict[int, tuple[int, ...]] = {}
    for relay, cpus in fields.get("pins", ()):
        origin = given["pins"].origin
        if relay in pins and pins[relay] != cpus:
            errors.append(f"{origin}: relay {relay} is pinned twice")
        pins[relay] = cpus
        for cpu in sorted(set(cpus) - set(fields.get("cpus", cpus))):
            errors.append(
                f"{origin}: relay {relay}: CPU {cpu} is not among the worker CPUs ({_names('cpus')})"
            )
    fields["pins"] = pins


def _check_static_vfs(fields: dict[str, Any], given: Mapping[str, Given], errors: list[str]) -> None:
    devices: dict[str, int] = {}
    relays: dict[int, str] = {}
    for device, relay in fields.get("static_vfs", ()):
        origin = given["static_vfs"].origin
        if device in devices:
            errors.append(f"{origin}: {device} is given to relay {devices[device]} and to relay {relay}")
        elif relay in relays:
            errors.append(f"{origin}: relay {relay} is given {relays[relay]} and {device}")
        devices.setdefault(device, relay)
        relays.setdefault(relay, device)


def _check_controls(
    fields: dict[str, Any], given: Mapping[str, Given], errors: list[str], warnings: list[str]
) -> None:
    active = [field for field in _CONTROLS if fields.get(field)]
    if len(active) > 1:
        who = " and ".join(f"{_CONTROLS[field]} ({given[field].origin})" for field in active)
        errors.append(f"{who} exclude each other, for each would undo what the other does: keep one of them")
    if fields.get("dynamic_sockets") and "zmq_port_control_ep" not in active:
        warnings.append(
            f"{given['dynamic_sockets'].origin}: dynamic sockets come with ZeroMQ port control only, "
            f"and that is off: set {_names('zmq_port_control_ep')}"
        )
    if fields.get("zmq_core_sched_ep") and not fields.get("zmq_stats_ep"):
        warnings.append(
            f"core scheduling without statistics: vio4wd_core_scheduler needs {_names('zmq_stats_ep')} too"
        )
    _check_endpoints(fields, given, errors)
    if str(fields.get("ovsdb_sock")).startswith("ssl:"):
        for field in ("ovsdb_private_key", "ovsdb_certificate", "ovsdb_ca_cert"):
            if field not in given:
                errors.append(f"{given['ovsdb_sock'].origin}: ssl needs {_names(field)} too")
    for field in ("ovsdb_private_key", "ovsdb_certificate", "ovsdb_ca_cert"):
        if field in fields and not fields[field].is_file():
            errors.append(f"{given[field].origin}: there is no file {fields[field]}")


def _check_endpoints(fields: dict[str, Any], given: Mapping[str, Given], errors: list[str]) -> None:
    used: dict[str, str] = {}
    for field in ("zmq_port_control_ep", "zmq_stats_ep", "zmq_config_ep", "zmq_core_sched_ep"):
        address = fields.get(field)
        if address is None:
            continue
        origin = given[field].origin if field in given else _names(field)
        if address in used:
            errors.append(f"{origin}: {address} is the endpoint of {used[address]} too")
        used.setdefault(address, origin)


def _check_accounts(
    fields: dict[str, Any], given: Mapping[str, Given], errors: list[str], warnings: list[str]
) -> None:
    """Accounts that do not exist are errors, but for the guide's defaults, which only libvirt brings."""
    kinds: tuple[tuple[str, str, str, Callable[[str], object]], ...] = (
        ("vhost_username", "user", DEFAULT_USER, pwd.getpwnam),
        ("vhost_groupname", "group", DEFAULT_GROUP, grp.getgrnam),
    )
    for field, kind, default, look_up in kinds:
        name = fields.get(field)
        if name is None:
            continue
        try:
            if not name.isdigit():
                look_up(name)
        except KeyError:
            message = f"{given[field].origin}: there is no {kind} {name!r}"
            if name == default:
                warnings.append(f"{message}, the sockets' {kind} stays the daemon's")
                del fields[field]
            else:
                errors.append(message)


def _check_sockets(fields: dict[str, Any], given: Mapping[str, Given], errors: list[str]) -> None:
    directory = fields.get("vhost_path", _OPTIONS["vhost_path"].default)
    pattern = fields.get("vhost_socket", _OPTIONS["vhost_socket"].default)
    longest = f"{directory}/{pattern.replace('%u', str(MAX_RELAYS - 1))}"
    if len(longest.encode()) > SOCKET_PATH_BYTES:
        origin = given["vhost_path"].origin if "vhost_path" in given else given["vhost_socket"].origin
        errors.append(f"{origin}: {longest} is longer than {SOCKET_PATH_BYTES} bytes, the most of a socket")


def _check_backend(fields: dict[str, Any], given: Mapping[str, Given], errors: list[str]) -> None:
    """A guest has one socket."""
    exclusive = (
        ("backend_fd", "backend_socket"),
        ("backend_fd", "dynamic_sockets"),
        ("backend_fd", "vhost_client"),
        ("backend_socket", "dynamic_sockets"),
    )
    for field, other in exclusive:
        if field in fields and fields.get(other):
            errors.append(f"{given[field].origin} and {given[other].origin} exclude each other")
    if "backend_fd" in fields:
        try:
            is_socket = stat.S_ISSOCK(os.fstat(fields["backend_fd"]).st_mode)
        except OSError:
            is_socket = False
        if not is_socket:
            errors.append(f"{given['backend_fd'].origin}: {fields['backend_fd']} is no open socket")
