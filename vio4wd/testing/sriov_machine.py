"""A machine with SR-IOV NICs, emulated: the place where the product meets real virtual functions.

    with SriovMachine(directory) as machine:
        status, output = machine.run("lspci -k")

QEMU emulates two Intel 82576 (igb), each with four virtual functions behind an IOMMU, one on each of two
NUMA nodes, and a virtio-net interface; a hub joins the three, as the switch beyond the cables would. Inside
they are pf0, pf1 and wire. The machine's files are the host's: the project and its interpreter run in it as
they are, and what is written goes to memory. `results` in the machine's directory is writable on both sides
(/mnt inside). Inside, QEMU's monitor is at the virtio port "qmp", so that a test there can pull a cable.

Everything is emulated (TCG), so nothing here tells of speed. scripts/setup-sriov makes what it boots,
scripts/sriov-init and scripts/sriov-machine set it up from within.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final, Self

from vio4wd.testing import qemu
from vio4wd.testing.guest_agent import CommandResult, GuestAgent
from vio4wd.testing.process import ChildProcess
from vio4wd.testing.qemu import GuestError
from vio4wd.testing.resource import Resource
from vio4wd.testing.wait import wait_for

PROJECT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = PROJECT / ".build" / "sriov"
#: What kernels are compiled for and where they are kept, so that it is done on the host; the machine has
#: the same in its environment.
COMPILE: Final = {"NUMBA_CPU_NAME": "generic", "VIO4WD_CACHE_DIR": str(BUILD / "kernels")}
#: QEMU's ids of the NICs, for its monitor.
NICS: Final = ("nic0", "nic1")
#: Appears on the kernel's command line inside, and nowhere else.
MARK: Final = "vio4wd.project="
#: File among the results in which a run notes the scenarios that have not passed yet.
LEFT: Final = "left"
#: Seconds that booting may take; some 20 on an idle machine, a minute on a busy one.
_BOOT: Final = 240.0
#: None of it above 4 GiB: the firmware then keeps the BARs below it too. QEMU 10.0 forgets the upper half of
#: the address of a virtual function's BAR.
_MEMORY_MB: Final = 2560
_HUGEPAGES_PER_NODE: Final = 288
#: An IOMMU for VFIO. No timers of the processors' own (local APICs): QEMU 10.0 lets one of them fall silent
#: for ever now and then, and with it its processor; the one that is left (HPET) ticks for all. What makes an
#: emulated machine slower and is of no use in it is off.
_KERNEL_OPTIONS: Final = (
    "intel_iommu=on iommu=nopt nolapic_timer nohz=off highres=off mitigations=off clocksource=tsc "
    "tsc=reliable lpj=10000000 nowatchdog loglevel=6 audit=0 numa_balancing=disable "
    "transparent_hugepage=never"
)


def inside() -> bool:
    """Whether this process runs in such a machine."""
    return MARK in Path("/proc/cmdline").read_text()


class SriovMachine(Resource):
    """One machine, from `start` to `close`.

    Args:
        directory: for logs (console.log, qemu.log) and the shared folder `results`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.results = directory / "results"
        # The path of a socket must be short.
        self._sockets = tempfile.TemporaryDirectory(prefix="sriov-")
        self._process: ChildProcess | None = None
        self._agent: GuestAgent | None = None

    @property
    def console(self) -> Path:
        """The log of its kernel."""
        return self._directory / "console.log"

    def start(self) -> None:
        """Boot, and return when the machine takes commands.

        Raises:
            GuestError: it did not boot; the last lines of QEMU and its console are in the message.
        """
        self.results.mkdir(parents=True, exist_ok=True)
        agent = Path(self._sockets.name, "agent")
        self._process = ChildProcess(
            [
                *self._command(),
                *_serial(f"file:{self.console}"),
                *_serial(f"unix:{agent},server=on,wait=off"),
            ],
            self._directory / "qemu.log",
            environment=qemu.environment(),
        )
        try:
            wait_for(lambda: not self.running() or agent.exists(), "QEMU's sockets")
            self._agent = GuestAgent(agent, self.running)
            self._agent.wait_ready(_BOOT)
        except (OSError, TimeoutError) as error:
            message = f"the machine did not start: {error}\n{self._process.tail()}\n{self._console_tail()}"
            self.close()
            raise GuestError(message) from error
        except BaseException:
            self.close()
            raise

    def running(self) -> bool:
        return self._process is not None and self._process.running()

    def run(self, command: str, timeout: float = 60.0) -> CommandResult:
        """The exit status and output of a shell command in the machine, run in the project's folder.

        Raises:
            GuestError: no answer within `timeout` seconds, or the machine ended.
        """
        if self._agent is None:
            raise GuestError("the machine was not started")
        try:
            return self._agent.run(command, timeout)
        except OSError as error:  # TimeoutError and ConnectionError are kinds of it
            raise GuestError(f"{command!r}: {error}\n{self._console_tail()}") from error

    def close(self) -> None:
        """End the machine at once; it keeps nothing."""
        if self._agent is not None:
            self._agent.close()
        if self._process is not None:
            self._process.close()
        self._agent = self._process = None
        self._sockets.cleanup()

    def __enter__(self) -> Self:
        self.start()
        return self

    def _command(self) -> list[str]:
        hugepages = f"hugepages=0:{_HUGEPAGES_PER_NODE},1:{_HUGEPAGES_PER_NODE}"
        monitor = Path(self._sockets.name, "qmp")
        kernel_options = f"{_KERNEL_OPTIONS} {hugepages} {MARK}{PROJECT}"
        return [
            *qemu.command("tcg", BUILD / "vmlinux", BUILD / "initramfs", kernel_options),
            *("-machine", "q35", "-cpu", "max", "-smp", "4,sockets=2,cores=2", "-m", f"{_MEMORY_MB}M"),
            *("-device", "intel-iommu,intremap=on"),
            *(argument for node in (0, 1) for argument in _node(node)),
            *(argument for number in (0, 1) for argument in _nic(number)),
            *("-netdev", "hubport,id=wire,hubid=0"),
            *("-device", "virtio-net-pci,bus=pcie.0,netdev=wire,mac=52:54:00:cc:00:00"),
            *_shared("host", Path("/"), "readonly=on,multidevs=remap"),
            *_shared("results", self.results, "readonly=off"),
            # QEMU is a client of its own monitor: what comes out of the machine's port goes in there.
            *("-chardev", f"socket,id=monitor,path={monitor},server=on,wait=off"),
            *("-mon", "chardev=monitor,mode=control", "-device", "virtio-serial-pci,bus=pcie.0"),
            *("-chardev", f"socket,id=port,path={monitor}"),
            *("-device", "virtserialport,chardev=port,name=qmp"),
        ]

    def _console_tail(self) -> str:
        if not self.console.exists():
            return ""
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-20:])


def scenarios_left(results: Path) -> list[str]:
    """Those that had not passed when a run ended, or its machine did: ids for pytest."""
    file = results / LEFT
    return file.read_text().splitlines() if file.exists() else []


def _serial(device: str) -> list[str]:
    return ["-serial", device]


def _node(number: int) -> list[str]:
    """A NUMA node with half of the CPUs and of the memory."""
    return [
        *("-object", f"memory-backend-ram,id=memory{number},size={_MEMORY_MB // 2}M"),
        *("-numa", f"node,nodeid={number},memdev=memory{number},cpus={2 * number}-{2 * number + 1}"),
    ]


def _nic(number: int) -> list[str]:
    """An igb on the NUMA node of its number, behind a root port of its own."""
    bus = 0x40 * (number + 1)
    root_port = f"pcie-root-port,id=port{number},bus=bridge{number},slot={number + 1},chassis={number + 1}"
    return [
        *("-device", f"pxb-pcie,id=bridge{number},bus=pcie.0,bus_nr={bus},numa_node={number}"),
        *("-device", root_port),
        *("-netdev", f"hubport,id=link{number},hubid=0"),
        *(
            "-device",
            f"igb,id={NICS[number]},bus=port{number},netdev=link{number},mac=52:54:00:aa:00:0{number}",
        ),
    ]


def _shared(tag: str, folder: Path, options: str) -> list[str]:
    """A folder of the host's that can be mounted by its tag."""
    return [
        *("-fsdev", f"local,id={tag},path={folder},security_model=none,{options}"),
        *("-device", f"virtio-9p-pci,bus=pcie.0,fsdev={tag},mount_tag={tag}"),
    ]
