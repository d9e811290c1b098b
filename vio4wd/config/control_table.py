"""The rows of the table for control from outside: ZeroMQ, OVSDB, the command file, the core scheduler."""

from __future__ import annotations

from typing import Final

from vio4wd.config import values
from vio4wd.config.option import SWITCH_VALUES, Group, Option, Shape

_ENDPOINTS: Final = "ipc:///var/run/virtio-forwarder/"
CONFIG_EP: Final = _ENDPOINTS + "config"
PORT_CONTROL_EP: Final = _ENDPOINTS + "port_control"
STATS_EP: Final = _ENDPOINTS + "stats"
CORE_SCHED_EP: Final = _ENDPOINTS + "core_sched"

_ENDPOINT = "ipc:///PATH, tcp://ADDRESS:PORT or blank"


def _endpoint(field: str, flags: tuple[str, ...], variable: str, address: str, description: str) -> Option:
    return Option(
        field=field,
        group=Group.CONTROL,
        flags=flags,
        variables=(variable,),
        shape=Shape.OPTIONAL,
        convert=values.endpoint,
        bare=address,
        shipped=address,
        metavar="EP",
        valid=_ENDPOINT,
        help=description,
    )


def _ovsdb_file(field: str, flag: str, variable: str, description: str) -> Option:
    return Option(
        field=field,
        group=Group.CONTROL,
        flags=(flag,),
        variables=(variable,),
        convert=values.path,
        metavar="FILE",
        valid="absolute path of a PEM file",
        help=description,
    )


CONTROL_OPTIONS: Final[tuple[Option, ...]] = (
    _endpoint(
        "zmq_port_control_ep",
        ("-Z", "--zmq-port-control-ep"),
        "VIRTIOFWD_ZMQ_PORT_CONTROL_EP",
        PORT_CONTROL_EP,
        "Add and remove VFs, bonds and sockets by ZeroMQ. Excludes OVSDB and the command file.",
    ),
    _endpoint(
        "zmq_stats_ep",
        ("-z", "--zmq-stats-ep"),
        "VIRTIOFWD_ZMQ_STATS_EP",
        STATS_EP,
        "Serve statistics by ZeroMQ.",
    ),
    _endpoint(
        "zmq_config_ep",
        ("-Y", "--zmq-config-ep"),
        "VIRTIOFWD_ZMQ_CONFIG_EP",
        CONFIG_EP,
        "Serve the map of relays to CPUs by ZeroMQ.",
    ),
    Option(
        field="ovsdb_sock",
        group=Group.CONTROL,
        flags=("-O", "--ovsdb-sock"),
        variables=("VIRTIOFWD_OVSDB_SOCK_PATH", "VIRTIOFWD_OVSDB_SOCKET_PATH"),
        convert=values.ovsdb_remote,
        metavar="REMOTE",
        valid="/PATH, unix:/PATH, tcp:ADDRESS:PORT, ssl:ADDRESS:PORT or blank",
        help="Follow the interfaces of this OVSDB server, as /usr/local/var/run/openvswitch/db.sock. "
        "Excludes ZeroMQ port control and the command file.",
    ),
    _ovsdb_file(
        "ovsdb_private_key",
        "--ovsdb-private-key",
        "VIO4WD_OVSDB_PRIVATE_KEY",
        "This side's key for an ssl: server.",
    ),
    _ovsdb_file(
        "ovsdb_certificate",
        "--ovsdb-certificate",
        "VIO4WD_OVSDB_CERTIFICATE",
        "This side's certificate for an ssl: server.",
    ),
    _ovsdb_file(
        "ovsdb_ca_cert",
        "--ovsdb-ca-cert",
        "VIO4WD_OVSDB_CA_CERT",
        "Certificate of the authority that signed an ssl: server's.",
    ),
    Option(
        field="ipc",
        group=Group.CONTROL,
        flags=("-I", "--ipc"),
        variables=("VIRTIOFWD_IPC_PORT_CONTROL",),
        shape=Shape.OPTIONAL,
        convert=values.command_file,
        bare=values.COMMAND_FILE,
        metavar="FILE",
        valid=f"absolute path, or any non-blank value for {values.COMMAND_FILE}",
        help="Take commands from a file that is watched. Excludes ZeroMQ port control and OVSDB.",
    ),
    Option(
        field="core_sched_enable",
        group=Group.SCHEDULER,
        variables=("VIO4WD_CORE_SCHED_ENABLE",),
        convert=values.only_true,
        default=False,
        shipped="false",
        valid="true or false",
        help="Serve the core scheduling endpoint, which vio4wd_core_scheduler needs to move relays.",
    ),
    _endpoint(
        "zmq_core_sched_ep",
        ("-s", "--zmq-core-sched-ep"),
        "VIRTIOFWD_ZMQ_CORE_SCHED_EP",
        CORE_SCHED_EP,
        "Let relays be moved to other CPUs by ZeroMQ. The file must say VIO4WD_CORE_SCHED_ENABLE=true too.",
    ),
    Option(
        field="core_sched_sensitivity",
        group=Group.SCHEDULER,
        variables=("VIO4WD_CORE_SCHED_SENSITIVITY",),
        convert=values.positive,
        default=0.25,
        shipped="0.25",
        valid="a number larger than 0",
        help="How much better an assignment must be before vio4wd_core_scheduler moves relays.",
    ),
    Option(
        field="core_sched_log_level",
        group=Group.SCHEDULER,
        variables=("VIO4WD_CORE_SCHED_LOG_LEVEL",),
        convert=values.log_level,
        default=6,
        shipped="6",
        valid="0 (least) to 7 (most verbose)",
        help="Log threshold of vio4wd_core_scheduler.",
    ),
    Option(
        field="core_sched_poll_interval",
        group=Group.SCHEDULER,
        variables=("VIO4WD_CORE_SCHED_POLL_INTERVAL",),
        convert=values.positive,
        default=5.0,
        shipped="5",
        valid="seconds, larger than 0",
        help="How often vio4wd_core_scheduler looks at the load.",
    ),
    Option(
        field="core_sched_global_numa_opt",
        group=Group.SCHEDULER,
        variables=("VIO4WD_CORE_SCHED_GLOBAL_NUMA_OPT",),
        convert=values.switch,
        default=False,
        valid=SWITCH_VALUES,
        help="Let vio4wd_core_scheduler weigh the NUMA nodes of all relays together.",
    ),
)
