"""The command vio4wd-bind, against a kernel made for the test and this machine's own."""

import subprocess

import pytest
from fake_kernel import FakeKernel

from vio4wd.cli.bind import main
from vio4wd.testing.daemon import program


@pytest.fixture
def run(tmp_path, capsys):
    """Runs the command; returns exit status, lines of output and of errors."""
    kernel = FakeKernel(tmp_path)
    kernel.add_vf(0, netdev="eth1")
    kernel.add_vf(1, netdev="eth2")

    def run_it(line):
        status = main(line.split(), kernel)
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    run_it.kernel = kernel
    return run_it


def test_bind_and_unbind_tell_what_they_did(run):
    assert run("bind eth0") == (0, ["0000:05:10.0: bound to vfio-pci", "0000:05:10.1: bound to vfio-pci"], [])
    assert run("bind 05:10.0") == (0, [], []), "nothing was to be done"
    assert run("unbind 05:10.0 eth0") == (
        0,
        ["0000:05:10.0: bound to igbvf", "0000:05:10.1: bound to igbvf"],
        [],
    )


def test_refusals_are_told_and_the_rest_is_done(run):
    status, out, err = run("bind 0000:05:00.0,0000:05:10.1 nothing0")
    assert (status, out) == (1, ["0000:05:10.1: bound to vfio-pci"])
    assert [line.partition(":")[0] for line in err] == ["vio4wd-bind", "vio4wd-bind"]
    assert "physical function" in err[0]
    assert "there is no network device nothing0" in err[1]


def test_force_takes_a_device_in_use(run):
    run.kernel.set_up("eth1")
    assert run("bind 05:10.0")[0] == 1
    assert run("bind --force 05:10.0")[:2] == (0, ["0000:05:10.0: bound to vfio-pci"])


def test_list_shows_who_has_what(run):
    run("bind 05:10.0")
    run.kernel.open_group("0000:05:10.0", 12, "qemu")
    run.kernel.set_up("eth2")
    status, out, err = run("list")
    assert (status, err) == (0, [])
    assert [line.split(maxsplit=4) for line in out] == [
        ["ADDRESS", "DRIVER", "GROUP", "NETDEV", "WHAT"],
        ["0000:05:00.0", "igb", "1", "eth0", "physical function with 2 of 7 VFs"],
        ["0000:05:10.0", "vfio-pci", "2", "-", "VF 0 of eth0, used by pid 12 (qemu)"],
        ["0000:05:10.1", "igbvf", "3", "eth2", "(up)  VF 1 of eth0"],
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", "required"),
        ("dance", "invalid choice"),
        ("bind", "bind needs a device"),
        ("unbind", "unbind needs a device"),
        ("list eth0", "list takes no devices"),
        ("bind eth0:0", "neither a PCI address nor NETDEV"),
        ("bind 05:20.0", "PCI slot"),
        ("bind a/b", "neither a PCI address nor NETDEV"),
    ],
)
def test_wrong_usage(run, capsys, line, text):
    with pytest.raises(SystemExit) as caught:
        run(line)
    assert caught.value.code == 2
    assert text in capsys.readouterr().err


def test_on_this_machine():
    listed = subprocess.run([program("vio4wd-bind"), "list"], capture_output=True, text=True, timeout=60)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.startswith("ADDRESS")
    refused = subprocess.run(
        [program("vio4wd-bind"), "bind", "ffff:ff:1f.7", "lo"], capture_output=True, text=True, timeout=60
    )
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "vio4wd-bind: ffff:ff:1f.7: there is no such PCI device (see vio4wd-bind list)",
        "vio4wd-bind: lo has no VFs",
    ]
