"""The table and what is derived from it agree with each other and with the interface."""

import dataclasses
from pathlib import Path

import pytest

from vio4wd.config.command_line import build_parser
from vio4wd.config.document import default_file, manual
from vio4wd.config.instance import instance_name
from vio4wd.config.options import Settings, parse
from vio4wd.config.shellfile import read_assignments
from vio4wd.config.table import OPTIONS

ROOT = Path(__file__).parents[2]

# The interface, written down independently of the table.
FLAGS = frozenset(
    """
    -C --cpus -M --master-lcore -n --nodaemon -l --loglevel -p --pid-path -H --huge-dir -O --ovsdb-sock
    -Y --zmq-config-ep -Z --zmq-port-control-ep -z --zmq-stats-ep -s --zmq-core-sched-ep -I --ipc
    -u --vhost-username -g --vhost-groupname -V --vhost-path -S --vhost-socket -c --virtio-cpu
    -J --enable-jumbo -R --enable-mrgbuf -P --add-pci-vf -t --vfio-vf-token -i --vhostuser-client
    -0 --zero-copy -T --enable-tso -d --dynamic-sockets -a --same-numa -v --version
    --config --check-config
    """.split()  # noqa: SIM905
)
VARIABLES = frozenset(
    """
    VIRTIOFWD_CPU_MASK VIRTIOFWD_LOG_LEVEL VIRTIOFWD_IPC_PORT_CONTROL VIRTIOFWD_OVSDB_SOCK_PATH
    VIRTIOFWD_OVSDB_SOCKET_PATH VIRTIOFWD_JUMBO VIRTIOFWD_MRGBUF VIRTIOFWD_TSO VIRTIOFWD_SOCKET_OWNER
    VIRTIOFWD_SOCKET_GROUP VIRTIOFWD_HUGETLBFS_MOUNT_POINT VIRTIOFWD_STATIC_VFS VIRTIOFWD_DYNAMIC_SOCKETS
    VIRTIOFWD_CPU_NIC_SAME_NUMA VIRTIOFWD_VFIO_VF_TOKEN VIO4WD_CORE_SCHED_ENABLE
    VIO4WD_CORE_SCHED_SENSITIVITY VIO4WD_CORE_SCHED_LOG_LEVEL VIO4WD_CORE_SCHED_POLL_INTERVAL
    VIO4WD_CORE_SCHED_GLOBAL_NUMA_OPT VIRTIOFWD_CPU_PINS VIRTIOFWD_PID_DIR VIRTIOFWD_ZMQ_CONFIG_EP
    VIRTIOFWD_ZMQ_PORT_CONTROL_EP VIRTIOFWD_ZMQ_STATS_EP VIRTIOFWD_ZMQ_CORE_SCHED_EP VIRTIOFWD_SOCKET_DIR
    VIRTIOFWD_SOCKET_FNAME_PATTERN VIRTIOFWD_MASTER_LCORE VIRTIOFWD_VHOST_CLIENT VIRTIOFWD_ZERO_COPY
    VIRTIOFWD_BIND_VFIO_PCI
    """.split()  # noqa: SIM905
)


def test_no_option_of_the_interface_is_missing():
    known = {flag for action in build_parser()._actions for flag in action.option_strings}
    assert known >= FLAGS
    assert {name for option in OPTIONS for name in option.variables} >= VARIABLES


def test_nothing_is_there_twice():
    for names in (
        [option.field for option in OPTIONS],
        [flag for option in OPTIONS for flag in option.flags],
        [name for option in OPTIONS for name in option.variables],
    ):
        assert len(names) == len(set(names))


def test_rows_and_fields_match():
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    assert {option.field for option in OPTIONS} == fields.keys() - {
        "log_syslog",
        "config_file",
        "check_config",
        "warnings",
    }
    for option in OPTIONS:
        if option.field not in ("cpus", "pins"):
            assert fields[option.field].default == option.default, option.field


def test_shipped_file_is_up_to_date_and_complete():
    shipped = (ROOT / "conf/virtioforwarder").read_text()
    assert shipped == default_file(), "run scripts/generate.py"
    assignments, problems = read_assignments(shipped)
    assert not problems
    names = [assignment.name for assignment in assignments]
    assert sorted(names) == sorted(option.variables[0] for option in OPTIONS if option.variables)


def test_shipped_file_holds_the_defaults_of_the_guide():
    settings = parse(["--config", str(ROOT / "conf/virtioforwarder")], range(4))
    assert settings.cpus == (1, 2)
    assert (settings.loglevel, settings.huge_dir) == (6, Path("/mnt/huge"))
    assert settings.zmq_port_control_ep == "ipc:///var/run/virtio-forwarder/port_control"
    assert settings.zmq_core_sched_ep is None
    assert (settings.ovsdb_sock, settings.ipc, settings.static_vfs, settings.pins) == (None, None, (), {})


def test_manual_is_up_to_date():
    assert (ROOT / "docs/configuration.md").read_text() == manual(), "run scripts/generate.py"


def test_instances_are_named_after_their_directory(tmp_path):
    assert instance_name("/var/run") == "vio4wd"
    assert instance_name(Path("/var/run/")) == "vio4wd"
    here = instance_name(tmp_path)
    assert here.startswith("vio4wd-")
    assert len(here) == len("vio4wd-") + 8
    assert instance_name(tmp_path / "x" / "..") == here
    assert instance_name(tmp_path / "x") != here


@pytest.mark.parametrize("field", ["cpus", "pins"])
def test_fields_without_default_start_empty(field):
    (option,) = [option for option in OPTIONS if option.field == field]
    assert option.default == ()
