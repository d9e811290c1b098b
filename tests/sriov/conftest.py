"""The product with real virtual functions, inside the machine of `vio4wd.testing.sriov_machine`
(`make sriov`); anywhere else there are no tests here.

Relay 1 has the first VF of NIC 0, which vfio-pci holds and a worker polls; relay 2 that of NIC 1. The peer
is another VF of NIC 0, which stays with the kernel's igbvf, in a namespace.
"""

import shutil
import tempfile
from pathlib import Path

import pytest

from vio4wd.testing.sriov_machine import LEFT, inside

collect_ignore_glob = [] if inside() else ["test_*.py"]

#: Survives the machine: its folder on the host.
RESULTS = Path("/mnt")

#: By the test's node id: its name for people, seconds with what it had to set up first, and its outcome.
_scenarios = {}
_records = []


@pytest.fixture(scope="session")
def place():
    """A directory with a short path; logs in it are kept in the results."""
    directory = Path(tempfile.mkdtemp(prefix="v4w-"))
    yield directory
    for log in directory.rglob("*.log"):
        shutil.copy(log, RESULTS / f"{log.parent.name}-{log.name}")
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def nics():
    """Both NICs, with four VFs each."""
    from vio4wd.testing.sriov_nic import Nic

    found = Nic(0), Nic(1)
    for nic in found:
        nic.set_count(4)
    return found


@pytest.fixture(scope="session")
def vfs(nics):
    """The VFs of relays 1 and 2."""
    return nics[0].vfs()[0], nics[1].vfs()[0]


@pytest.fixture(scope="session")
def daemon(place, vfs):
    """A daemon that was told by its configuration file to bind and serve relays 1 and 2; workers on both
    NUMA nodes. In the end it must leave nothing behind."""
    from vio4wd.testing.daemon import Daemon

    directory = place / "daemon"
    directory.mkdir()
    configuration = directory / "conf"
    configuration.write_text(
        f"VIRTIOFWD_BIND_VFIO_PCI=pf0:1,{vfs[1].address.removeprefix('0000:')}\n"
        f"VIRTIOFWD_STATIC_VFS=( {vfs[0].address}=1 {vfs[1].address}=2 )\n"
        "VIRTIOFWD_JUMBO=y\nVIRTIOFWD_MRGBUF=y\n"
    )
    started = Daemon(directory, cpus=(1, 3), options=[f"--config={configuration}", "--idle=adaptive"])
    try:
        started.start()
        yield started
        started.stop()
        assert started.leftovers() == []
        assert "Traceback" not in started.log()
    finally:
        started.close()
        for vf in vfs:
            vf.to_kernel()


@pytest.fixture(scope="session")
def peer(nics):
    """The namespace with the second VF of NIC 0."""
    from vio4wd.testing.namespace import Namespace

    with Namespace() as namespace:
        namespace.take(nics[0].vfs()[1].netdev(), "10.1.0.1/24", name="peer0")
        namespace.run("ip", "link", "set", "peer0", "mtu", "9000")
        yield namespace


@pytest.fixture(scope="module")
def guest(daemon, vfs, place):
    """A guest on relay 1; the CPU of its driver is on the second node."""
    from vio4wd.testing.kernel_guest import KernelGuest

    with KernelGuest(
        daemon.socket(1), place / "guest", mac=vfs[0].mac, address="10.1.0.2/24", mtu=9000, cpu=2
    ) as started:
        daemon.wait_guest(1)
        yield started


@pytest.fixture
def spare(nics):
    """A VF on vfio-pci, beside the peer's, that no relay has."""
    vf = nics[0].vfs()[2]
    vf.to_vfio()
    yield vf
    vf.to_kernel()


@pytest.fixture
def far():
    """What is beyond the cables: a namespace with the interface "wire"."""
    from vio4wd.testing.namespace import Namespace

    with Namespace() as namespace:
        namespace.take("wire", "10.2.0.1/24")
        yield namespace


@pytest.fixture
def record():
    """Puts a text into the log of the whole run, under a title."""
    return lambda title, text: _records.append((title, text))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    name = (item.function.__doc__ or item.name).splitlines()[0]
    if hasattr(item, "callspec"):
        name += f" ({item.callspec.id})"
    _, seconds, outcome = _scenarios.get(item.nodeid, ("", 0.0, "passed"))
    if outcome == "passed":
        outcome = report.outcome
    _scenarios[item.nodeid] = name, seconds + call.duration, outcome
    if call.when == "teardown":
        note_left(item.session.items)


def pytest_collection_finish(session):
    if inside():
        note_left(session.items)


def note_left(items):
    """Whoever goes on if the machine ends now will find what is left to do."""
    left = [item.nodeid for item in items if _scenarios.get(item.nodeid, (0, 0, ""))[2] != "passed"]
    (RESULTS / LEFT).write_text("".join(f"{name}\n" for name in left))


def pytest_terminal_summary(terminalreporter):
    for title, text in _records:
        terminalreporter.section(title)
        terminalreporter.write_line(text)
    if _scenarios:
        terminalreporter.section("scenarios")
    for name, seconds, outcome in _scenarios.values():
        terminalreporter.write_line(f"{seconds:7.1f} s  {outcome:7}  {name}")
