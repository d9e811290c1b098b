"""The command's manners, set-ups of backends and guests, and the order of windows."""

import struct

import pytest

from bench import __main__ as program
from bench.backends import parse_command
from bench.child import MeasureError
from bench.figures import Window
from bench.guest import imix_capture
from bench.run import Run
from bench.setup import BOTH, VM_TO_VF, Setup


def usage_error(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        program.main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_unknown_scenarios_are_named(capsys):
    line = usage_error(capsys, "pvp", "speed")
    assert line.endswith(
        "there is no scenario speed; there are pvp, sizes, queues, relays, latency, moves, endpoints, "
        "startup, kernels"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--windows=0"], "--windows must be 1 at least"),
        (["--seconds=0"], "--seconds must be more than 0"),
        (["--seconds=nan"], "--seconds must be more than 0"),
        (["--worker-cpu=4095"], "CPU 4095 is not there"),
        (["--worker-cpu=0", "--guest-cpu=0"], "must differ"),
        (["--peer=other"], "is not NAME=COMMAND"),
        (["--peer=testpmd=x {socket}"], "a name of its own"),
        (["--peer=other=x"], "has no {socket}"),
        (["--peer=other=x {socket} {port}"], "cannot be filled in"),
        (["--peer=other=x {socket} '"], "cannot be filled in"),
    ],
)
def test_wrong_options_are_refused_in_one_line(capsys, arguments, words):
    assert words in usage_error(capsys, *arguments)


def test_commands_of_other_backends():
    command = parse_command("ovs=switch --at={socket} --cpu={cpu}", 3)
    assert (command.name, command.cpu) == ("ovs", 3)
    assert not command.can(Setup(idle=1))


def test_names_and_devices_of_setups():
    assert Setup(1500, packed=True, mergeable=True).name == "1500 B packed mergeable"
    assert Setup(1500).vf(2) == "net_null2,size=1500"
    assert Setup(1500).pieces() == "1500"
    assert Setup(9000).jumbo
    assert Setup(9000).pieces() == "1800,1800,1800,1800,1800"
    assert Setup(None, directions=(VM_TO_VF,)).vf() == "net_null0,size=64"
    assert Setup(None, directions=(BOTH,)).vf() == "net_ring0"


def test_the_mix_is_seven_four_one():
    capture = imix_capture()
    assert capture[:4] == struct.pack("<I", 0xA1B2C3D4)
    sizes, at = [], 24
    while at < len(capture):
        length, size = struct.unpack_from("<II", capture, at + 8)
        assert length == size
        sizes.append(size)
        at += 16 + size
    assert sorted(sizes) == [64] * 7 + [594] * 4 + [1518]


class Backend:
    """A name is all that rounds need."""

    def __init__(self, name):
        self.name = name


def run_of(backends, windows=2, quick=False, said=None):
    say = (said if said is not None else []).append
    return Run(1, 0, 1.0, windows, quick, backends, None, (), say)


def test_backends_take_turns():
    backends = [Backend("vio4wd"), Backend("testpmd")]
    run = run_of(backends)
    found = list(run.rounds(backends, lambda one: [Window("pvp", "64 B", one.name, 1.0, "Mpps", 90, 90)]))
    assert [window.backend for window in found] == ["vio4wd", "testpmd", "testpmd", "vio4wd"]


def test_windows_are_measured_again_when_the_placement_changed():
    backends = [Backend("vio4wd")]
    trips = iter([90, 400, 90, 90, 90, 90])
    run = run_of(backends)
    found = list(
        run.rounds(
            backends, lambda one: [Window("pvp", "64 B", one.name, 1.0, "Mpps", next(trips), next(trips))]
        )
    )
    assert len(found) == 3


@pytest.mark.parametrize(("quick", "rounds"), [(False, 4), (True, 2)])
def test_there_is_an_end_to_that(quick, rounds):
    backends = [Backend("vio4wd")]
    run = run_of(backends, quick=quick)
    found = list(run.rounds(backends, lambda one: [Window("pvp", "64 B", one.name, 1.0, "Mpps", 90, 400)]))
    assert len(found) == rounds


def test_a_backend_that_fails_is_left_out():
    backends = [Backend("vio4wd"), Backend("testpmd")]

    def measure(one):
        if one.name == "testpmd":
            raise MeasureError("does not start")
        return [Window("pvp", "64 B", one.name, 1.0, "Mpps", 90, 90)]

    said = []
    run = run_of(backends, said=said)
    assert [window.backend for window in run.rounds(backends, measure)] == ["vio4wd", "vio4wd"]
    assert run.failures == ["testpmd: does not start"]
    assert said == ["testpmd failed: does not start"]


def test_cases_are_chosen_by_words():
    run = Run(1, 0, 1.0, 1, True, (), None, ("64 B", "both"), print)
    assert run.wants("pvp 64 B split, both ways")
    assert not run.wants("pvp 64 B split, VM→VF")
