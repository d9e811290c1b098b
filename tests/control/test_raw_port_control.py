"""Every operation and error of port control, with messages built from field numbers alone."""

import errno

import pytest
from raw_messages import field, message, pci, read

ADD, REMOVE, ADD_SOCK, REMOVE_SOCK, QUERY_PCI = range(5)
ERROR, OK = 0, 1
# PortControlRequest
OP, PCI_ADDRS, VIRTIO_ID, CONDITIONAL, NAME, MODE, VHOST_PATH, DEVICES = 1, 2, 3, 4, 5, 6, 7, 100
# PortControlResponse
STATUS, ERROR_CODE, ERROR_CODE_SOURCE, QUERY_STRING = 4, 5, 6, 7

VF1 = (PCI_ADDRS, pci(0, 5, 8, 1))
VF2 = (PCI_ADDRS, pci(0, 5, 8, 2))
VF1_NAME, VF2_NAME = "0000:05:08.1", "0000:05:08.2"
BOND = (NAME, "net_bonding0")
SOCK = (VHOST_PATH, "/run/vm1.sock")


@pytest.fixture
def ask(daemon):
    """Sends fields, returns the response's fields."""
    return lambda *fields: read(daemon.ask("port_control", message(*fields)))


def assert_ok(response):
    assert response == {STATUS: [OK]}


def assert_error(response, code, *words):
    assert response.keys() == {STATUS, ERROR_CODE, ERROR_CODE_SOURCE}
    assert response[STATUS] == [ERROR]
    assert response[ERROR_CODE] == [code]
    text = response[ERROR_CODE_SOURCE][0].decode()
    assert "\n" not in text
    for word in words:
        assert word in text, text


def test_add_and_remove_a_vf(ask, daemon):
    assert_ok(ask((OP, ADD), VF1, (VIRTIO_ID, 1)))
    assert daemon.controller.attached[1].devices == (VF1_NAME,)
    assert_ok(ask((OP, REMOVE), VF1, (VIRTIO_ID, 1)))
    assert daemon.controller.attached == {}


def test_large_pci_numbers(ask, daemon):
    assert_ok(ask((OP, ADD), (PCI_ADDRS, pci(0x10000, 0xFF, 0x1F, 7)), (VIRTIO_ID, 63)))
    assert daemon.controller.attached[63].devices == ("10000:ff:1f.7",)


def test_add_and_remove_a_device_string(ask, daemon):
    device = (DEVICES, "net_af_packet0,iface=vf0")
    assert_ok(ask((OP, ADD), device, (VIRTIO_ID, 0)))
    assert daemon.controller.attached[0].devices == ("net_af_packet0,iface=vf0",)
    assert_ok(ask((OP, REMOVE), device, (VIRTIO_ID, 0)))


def test_conditional_requests_grant_what_is_so_already(ask):
    for _ in range(2):
        assert_ok(ask((OP, ADD), VF1, (VIRTIO_ID, 1)))
        assert_ok(ask((OP, ADD), VF1, (VIRTIO_ID, 1), (CONDITIONAL, 1)))
    for _ in range(2):
        assert_ok(ask((OP, REMOVE), VF1, (VIRTIO_ID, 1)))


def test_unconditional_requests_must_change_something(ask):
    assert_ok(ask((OP, ADD), VF1, (VIRTIO_ID, 1), (CONDITIONAL, 0)))
    assert_error(ask((OP, ADD), VF1, (VIRTIO_ID, 1), (CONDITIONAL, 0)), errno.EEXIST, "relay 1", VF1_NAME)
    assert_ok(ask((OP, REMOVE), VF1, (VIRTIO_ID, 1), (CONDITIONAL, 0)))
    assert_error(ask((OP, REMOVE), VF1, (VIRTIO_ID, 1), (CONDITIONAL, 0)), errno.ENOENT, "no device")


def test_conflicts_are_errors_whether_conditional_or_not(ask):
    assert_ok(ask((OP, ADD), VF1, (VIRTIO_ID, 1)))
    for conditional in (0, 1):
        rest = (CONDITIONAL, conditional)
        assert_error(ask((OP, ADD), VF2, (VIRTIO_ID, 1), rest), errno.EBUSY, "relay 1", VF1_NAME)
        assert_error(ask((OP, ADD), VF1, (VIRTIO_ID, 2), rest), errno.EBUSY, "relay 1", VF1_NAME)
    assert_error(ask((OP, REMOVE), VF2, (VIRTIO_ID, 1), (CONDITIONAL, 0)), errno.ENOENT, VF1_NAME, VF2_NAME)
    assert_ok(ask((OP, REMOVE), VF2, (VIRTIO_ID, 1)))


def test_bonds(ask, daemon):
    bond = (VF1, VF2, BOND, (VIRTIO_ID, 1))
    assert_ok(ask((OP, ADD), *bond))
    present = daemon.controller.attached[1]
    assert (present.devices, present.name, present.mode) == ((VF1_NAME, VF2_NAME), "net_bonding0", 1)
    assert_ok(ask((OP, ADD), *bond))
    assert_error(ask((OP, ADD), *bond, (MODE, 0)), errno.EBUSY, "net_bonding0")
    assert_error(ask((OP, ADD), VF1, (VIRTIO_ID, 2)), errno.EBUSY, VF1_NAME)
    assert_ok(ask((OP, REMOVE), BOND, (VIRTIO_ID, 1), (CONDITIONAL, 0)))
    for mode in range(7):
        assert_ok(ask((OP, ADD), *bond, (MODE, mode)))
        assert daemon.controller.attached[1].mode == mode
        assert_ok(ask((OP, REMOVE), VF2, VF1, (VIRTIO_ID, 1), (CONDITIONAL, 0)))


def test_bond_of_eight_and_name_in_use(ask):
    eight = [(PCI_ADDRS, pci(0, 1, number, 0)) for number in range(8)]
    assert_ok(ask((OP, ADD), *eight, BOND, (VIRTIO_ID, 1)))
    assert_error(ask((OP, ADD), VF1, VF2, BOND, (VIRTIO_ID, 2)), errno.EBUSY, "net_bonding0", "relay 1")


def test_sockets(ask, daemon):
    assert_ok(ask((OP, ADD_SOCK), VF1, SOCK, (CONDITIONAL, 0)))
    assert daemon.controller.attached[0].socket == "/run/vm1.sock"
    assert ask((OP, QUERY_PCI), SOCK) == {STATUS: [OK], QUERY_STRING: [VF1_NAME.encode()]}
    assert_ok(ask((OP, ADD_SOCK), VF1, SOCK, (VIRTIO_ID, 40)))
    assert 40 not in daemon.controller.attached
    assert_error(ask((OP, ADD_SOCK), VF1, SOCK, (CONDITIONAL, 0)), errno.EEXIST, "/run/vm1.sock")
    assert_error(ask((OP, ADD_SOCK), VF2, SOCK), errno.EBUSY, VF1_NAME)
    assert_error(ask((OP, ADD_SOCK), VF1, (VHOST_PATH, "/run/vm2.sock")), errno.EBUSY, VF1_NAME)
    assert_error(ask((OP, REMOVE_SOCK), VF2, SOCK, (CONDITIONAL, 0)), errno.ENOENT, VF1_NAME, VF2_NAME)
    assert_ok(ask((OP, REMOVE_SOCK), VF1, SOCK, (CONDITIONAL, 0)))
    assert_ok(ask((OP, REMOVE_SOCK), VF1, SOCK))
    assert_error(ask((OP, QUERY_PCI), SOCK), errno.ENOENT, "/run/vm1.sock")


def test_socket_of_a_bond(ask, daemon):
    assert_ok(ask((OP, ADD_SOCK), VF1, VF2, BOND, (MODE, 4), SOCK))
    assert daemon.controller.attached[0].mode == 4
    assert_ok(ask((OP, REMOVE_SOCK), BOND, SOCK, (CONDITIONAL, 0)))
    assert daemon.controller.attached == {}


def test_sockets_until_no_relay_is_free(ask):
    for number in range(64):
        device = (DEVICES, f"net_null{number}")
        assert_ok(ask((OP, ADD_SOCK), device, (VHOST_PATH, f"/run/{number}"), (CONDITIONAL, 0)))
    assert_error(ask((OP, ADD_SOCK), VF1, SOCK), errno.ENOSPC, "in use")


def test_sockets_must_be_dynamic(start_daemon):
    daemon = start_daemon(dynamic_sockets=False)
    for op in (ADD_SOCK, REMOVE_SOCK):
        response = read(daemon.ask("port_control", message((OP, op), VF1, SOCK)))
        assert_error(response, errno.EPERM, "--dynamic-sockets", "VIRTIOFWD_DYNAMIC_SOCKETS")


def test_a_device_that_fails(ask, daemon):
    daemon.controller.broken.add(VF1_NAME)
    assert_error(ask((OP, ADD), VF1, (VIRTIO_ID, 1)), errno.ENODEV, VF1_NAME, "does not exist")
    assert_ok(ask((OP, ADD), VF2, (VIRTIO_ID, 1)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([(OP, ADD), VF1], ["virtio_id"]),
        ([(OP, ADD), VF1, (VIRTIO_ID, 64)], ["no relay 64"]),
        ([(OP, ADD), VF1, (VIRTIO_ID, 0xFFFFFFFF)], ["no relay 4294967295"]),
        ([(OP, REMOVE), VF1], ["virtio_id"]),
        ([(OP, REMOVE), VF1, (VIRTIO_ID, 64)], ["no relay 64"]),
        ([(OP, ADD), (VIRTIO_ID, 1)], ["no device given"]),
        ([(OP, ADD), (VIRTIO_ID, 1), BOND], ["no device given"]),
        ([(OP, REMOVE), (VIRTIO_ID, 1)], ["no device or bond given"]),
        ([(OP, ADD), VF1, VF2, (VIRTIO_ID, 1)], ["net_bonding"]),
        ([(OP, ADD), VF1, BOND, (VIRTIO_ID, 1)], ["2 to 8 members, not 1"]),
        ([(OP, ADD), *[(DEVICES, f"net_null{n}") for n in range(9)], BOND, (VIRTIO_ID, 1)], ["not 9"]),
        ([(OP, ADD), VF1, VF2, (NAME, "bond0"), (VIRTIO_ID, 1)], ["'bond0'", "net_bonding"]),
        ([(OP, ADD), VF1, VF2, (NAME, "net_bonding0,mode=1"), (VIRTIO_ID, 1)], ["net_bonding0,mode=1"]),
        ([(OP, ADD), VF1, VF2, (NAME, "net_bonding" + "0" * 60), (VIRTIO_ID, 1)], ["net_bonding"]),
        ([(OP, ADD), VF1, VF2, BOND, (MODE, 7), (VIRTIO_ID, 1)], ["no bond mode 7"]),
        ([(OP, ADD), VF1, VF1, BOND, (VIRTIO_ID, 1)], ["more than once"]),
        ([(OP, ADD), (PCI_ADDRS, pci(0, 256, 0, 0)), (VIRTIO_ID, 1)], ["bus 0x100"]),
        ([(OP, ADD), (PCI_ADDRS, pci(0, 0, 32, 0)), (VIRTIO_ID, 1)], ["slot 0x20"]),
        ([(OP, ADD), (PCI_ADDRS, pci(0, 0, 0, 8)), (VIRTIO_ID, 1)], ["function 0x8"]),
        ([(OP, ADD), (DEVICES, ""), (VIRTIO_ID, 1)], ["no device"]),
        ([(OP, ADD), (DEVICES, "net_null0 net_null1"), (VIRTIO_ID, 1)], ["no device"]),
        ([(OP, ADD), (DEVICES, "n" * 256), (VIRTIO_ID, 1)], ["255"]),
        ([(OP, ADD), (DEVICES, "net_null0\nroot"), (VIRTIO_ID, 1)], ["unprintable"]),
        ([(OP, ADD), (DEVICES, b"\xff\xfe"), (VIRTIO_ID, 1)], ["not UTF-8"]),
        ([(OP, ADD_SOCK), VF1], ["vhost_path"]),
        ([(OP, ADD_SOCK), VF1, (VHOST_PATH, "vm.sock")], ["absolute path"]),
        ([(OP, ADD_SOCK), VF1, (VHOST_PATH, "/" + "v" * 107)], ["107"]),
        ([(OP, ADD_SOCK), VF1, (VHOST_PATH, b"/\xc3\x28")], ["not UTF-8"]),
        ([(OP, ADD_SOCK), SOCK], ["no device given"]),
        ([(OP, REMOVE_SOCK), VF1], ["vhost_path"]),
        ([(OP, REMOVE_SOCK), SOCK], ["no device or bond given"]),
        ([(OP, QUERY_PCI)], ["vhost_path"]),
    ],
)
def test_requests_that_make_no_sense(ask, daemon, fields, words):
    assert_error(ask(*fields), errno.EINVAL, *words)
    assert daemon.controller.attached == {}


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff",
        b"\x08",
        b"hello",
        bytes(100),
        field(OP, 5),  # no such operation, so none
        field(OP, 0x7FFFFFFF),
        field(OP, "ADD"),
        field(VIRTIO_ID, 1),
        message((OP, ADD), (PCI_ADDRS, message((1, 0), (2, 5))), (VIRTIO_ID, 1)),
        message((OP, ADD), (PCI_ADDRS, b"\xff"), (VIRTIO_ID, 1)),
        message((OP, ADD), VF1, (VIRTIO_ID, 1))[:-1],
        b"\x0b" * 1000,  # groups within groups
    ],
)
def test_frames_that_are_no_request(daemon, frame):
    assert_error(read(daemon.ask("port_control", frame)), errno.EBADMSG, "no valid request")
    assert daemon.controller.attached == {}


def test_each_truncation_is_answered(daemon):
    frame = message((OP, ADD), VF1, VF2, BOND, (MODE, 1), (VIRTIO_ID, 64))
    with daemon.client("port_control") as client:
        for size in range(len(frame)):
            client.send(frame[:size])
            response = read(client.recv())
            assert response[STATUS] == [ERROR], size
            assert response[ERROR_CODE][0] in (errno.EINVAL, errno.EBADMSG), size


def test_oversized_frames(daemon):
    good = message((OP, ADD), VF1, (VIRTIO_ID, 1))
    for size in (65537, 1 << 20, 16 << 20):
        frame = good + field(200, bytes(size))
        assert_error(read(daemon.ask("port_control", frame)), errno.EMSGSIZE, str(len(frame)))
    assert daemon.controller.attached == {}


def test_unknown_fields_are_ignored(ask):
    assert_ok(ask((OP, ADD), VF1, (VIRTIO_ID, 1), (99, "from the future"), (1000, 7)))


def test_a_later_value_wins_as_protobuf_says(ask, daemon):
    assert_ok(ask((OP, ADD), VF1, (VIRTIO_ID, 1), (VIRTIO_ID, 2)))
    assert list(daemon.controller.attached) == [2]
