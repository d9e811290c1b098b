"""From the command line and the configuration file to `Settings`, or to all that is wrong with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vio4wd.config.check import cross_check, online_cpus
from vio4wd.config.command_line import CommandLine, read_command_line
from vio4wd.config.control_table import CORE_SCHED_EP
from vio4wd.config.errors import ConfigError
from vio4wd.config.file import read_file
from vio4wd.config.given import Given
from vio4wd.config.option import Option, Shape
from vio4wd.config.table import OPTIONS
from vio4wd.config.values import Idle
from vio4wd.limits import MAX_VF_QUEUES

__all__ = ["ConfigError", "Settings", "changed", "parse"]


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What the master runs with. Each field is described by its row of `vio4wd.config.table.OPTIONS`.

    Attributes:
        zmq_config_ep, zmq_port_control_ep, zmq_stats_ep, zmq_core_sched_ep: None: not served.
        ovsdb_sock: remote as the ovs package names it ("unix:/PATH"), None: not followed.
        backend_socket, backend_fd: the one guest's socket instead of all relays'; None: none.
        ipc: file to watch for commands, None: none.
        vhost_username, vhost_groupname: exist on this machine; None: leave the sockets' owner alone.
        pins: relay -> CPU of VF to VM, CPU of VM to VF, and so on for further lanes; all are in `cpus`.
        static_vfs: device and relay.
        config_file: the file that was read, None: none.
        check_config: only the check was asked for.
        warnings: what is allowed but surely not meant; one line each, to be logged at start.
    """

    cpus: tuple[int, ...]
    master_lcore: int = 0
    pins: Mapping[int, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    same_numa: bool = False
    idle: Idle = "adaptive"
    daemon: bool = True
    log_syslog: bool = False
    loglevel: int = 6
    pid_path: Path = Path("/var/run")
    huge_dir: Path = Path("/mnt/huge")
    vhost_username: str | None = None
    vhost_groupname: str | None = None
    vhost_path: Path = Path("/tmp")
    vhost_socket: str = "virtio-forwarder%u.sock"
    backend_socket: Path | None = None
    backend_fd: int | None = None
    vhost_client: bool = False
    dynamic_sockets: bool = False
    enable_mrgbuf: bool = False
    enable_jumbo: bool = False
    enable_tso: bool = False
    zero_copy: bool = False
    static_vfs: tuple[tuple[str, int], ...] = ()
    vf_queues: int = MAX_VF_QUEUES
    bind_vfio_pci: tuple[str, ...] = ()
    vfio_vf_token: str | None = None
    zmq_port_control_ep: str | None = None
    zmq_stats_ep: str | None = None
    zmq_config_ep: str | None = None
    zmq_core_sched_ep: str | None = None
    ovsdb_sock: str | None = None
    ovsdb_private_key: Path | None = None
    ovsdb_certificate: Path | None = None
    ovsdb_ca_cert: Path | None = None
    ipc: Path | None = None
    core_sched_enable: bool = False
    core_sched_sensitivity: float = 0.25
    core_sched_log_level: int = 6
    core_sched_poll_interval: float = 5.0
    core_sched_global_numa_opt: bool = False
    config_file: Path | None = None
    check_config: bool = False
    warnings: tuple[str, ...] = ()

    def socket_path(self, relay: int) -> Path:
        """Where the vhost-user socket of a relay is, unless sockets are dynamic."""
        return self.vhost_path / self.vhost_socket.replace("%u", str(relay))


def parse(argv: Sequence[str], online: Iterable[int] | None = None) -> Settings:
    """The settings that the arguments, and the configuration file they may name, ask for.

    `--help` and `--version` print and exit.

    Args:
        argv: the arguments, without the program's name.
        online: the machine's CPUs; asked from the kernel where not given.

    Raises:
        ConfigError: with one line for each thing that is wrong, in the arguments and in the file.
    """
    line = read_command_line(argv)
    errors = list(line.errors)
    warnings: list[str] = []
    given: dict[str, Given] = {}
    if line.config_file is not None:
        file = read_file(line.config_file)
        given = file.given
        errors += file.errors
        warnings += file.warnings
    in_file = frozenset(given)
    given = given | line.given
    fields: dict[str, object] = {}
    for option in OPTIONS:
        if option.field in given:
            _convert(option, given[option.field], fields, errors)
    _foreground(line, fields, errors)
    _core_scheduling(given, in_file - line.given.keys(), fields)
    cross_check(fields, given, frozenset(online_cpus() if online is None else online), errors, warnings)
    if errors:
        raise ConfigError(errors)
    return Settings(
        **fields,  # type: ignore[arg-type]
        config_file=line.config_file,
        check_config=line.check_config,
        warnings=tuple(warnings),
    )


def _convert(option: Option, given: Given, fields: dict[str, object], errors: list[str]) -> None:
    """Put the field's value into `fields`, or what is wrong with it into `errors`."""
    try:
        if option.shape is Shape.LIST:
            fields[option.field] = tuple(item for text in given.texts for item in option.convert(text))
        elif given.texts:
            fields[option.field] = option.convert(given.texts[-1])
    except ValueError as error:
        errors.append(f"{given.origin}: {error}")


def _foreground(line: CommandLine, fields: dict[str, object], errors: list[str]) -> None:
    """Split --nodaemon[=log_syslog] into its two fields; a daemon has no stderr to log to.

    A program that manages backends does not want them to leave the foreground.
    """
    managed = fields.keys() & {"backend_socket", "backend_fd"}
    how = fields.pop("daemon", "" if managed else None)
    if how not in (None, "", "log_syslog"):
        errors.append(f"{line.given['daemon'].origin}: {how!r}: only log_syslog can follow --nodaemon")
    fields["daemon"] = how is None
    fields["log_syslog"] = how is None or how == "log_syslog"


def _core_scheduling(
    given: Mapping[str, Given], only_in_file: frozenset[str], fields: dict[str, object]
) -> None:
    """The endpoint is served when the command line names it, or when the file enables core scheduling."""
    if "zmq_core_sched_ep" in given and "zmq_core_sched_ep" not in only_in_file:
        return
    if fields.get("core_sched_enable"):
        fields.setdefault("zmq_core_sched_ep", CORE_SCHED_EP)
    else:
        fields.pop("zmq_core_sched_ep", None)


def changed(before: Settings, after: Settings) -> tuple[Option, ...]:
    """The options whose values differ; those with `live` can be followed by a running master."""
    return tuple(
        option for option in OPTIONS if getattr(before, option.field) != getattr(after, option.field)
    )
