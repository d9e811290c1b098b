"""What operators ask, carried out on relays with a cast (`relay_stage.py`)."""

import asyncio
import contextlib
import errno

import pytest
from relay_stage import VF_TO_VM, Stage, guest

from vio4wd.config.options import Settings
from vio4wd.control.controller import ControlError
from vio4wd.master.controller import MasterController
from vio4wd.master.guest_sockets import GuestSockets

VF = "net_null0,size=64"
BOND = ("0000:01:10.0", "0000:01:10.2")


class Desk:
    """A controller over four relays on a stage; sockets are real ones in a directory."""

    def __init__(self, directory, **changes):
        self.stage = Stage()
        self.relays = [self.stage.relay(number) for number in range(4)]
        self.settings = Settings(cpus=(11, 12), vhost_path=directory, **changes)
        self.sockets = GuestSockets(self.settings, self.stage.tables, find_node=False)
        self.controller = MasterController(self.relays, self.sockets, self.stage.placement)


def play(directory, scenario, **changes):
    async def wrapped():
        desk = Desk(directory, **changes)
        try:
            await scenario(desk)
        finally:
            await desk.sockets.close_all()
        assert not list(directory.iterdir()), "sockets are left"

    asyncio.run(wrapped())


@contextlib.contextmanager
def refused(code, match=None):
    with pytest.raises(ControlError, match=match) as caught:
        yield
    assert caught.value.code == code


def test_a_device_that_is_taken_away(tmp_path):
    async def scenario(desk):
        await desk.controller.add([VF], 1, False, None, 0)
        first = desk.relays[1].device
        await desk.controller.lost(1, first)
        assert desk.relays[1].device is None
        assert not desk.stage.hardware.ports
        await desk.controller.add([VF], 1, False, None, 0)
        await desk.controller.lost(1, first)  # what was lost is not what there is now
        assert desk.relays[1].device is not None

    play(tmp_path, scenario)


def test_add_and_remove(tmp_path):
    async def scenario(desk):
        controller = desk.controller
        await controller.add([VF], 1, False, None, 0)
        assert desk.relays[1].device.name == VF
        await controller.add([VF], 1, True, None, 0)  # is so already
        with refused(errno.EEXIST):
            await controller.add([VF], 1, False, None, 0)
        with refused(errno.EBUSY, "attached to relay 1"):
            await controller.add([VF], 2, True, None, 0)
        await controller.remove([VF], 1, False, None)
        with refused(errno.ENOENT):
            await controller.remove([VF], 1, False, None)
        await controller.remove([VF], 1, True, None)

    play(tmp_path, scenario)


def test_bond_is_known_by_its_name(tmp_path):
    async def scenario(desk):
        await desk.controller.add(BOND, 2, False, "net_bonding0", 1)
        assert desk.relays[2].device.members == BOND
        await desk.controller.remove([], 2, False, "net_bonding0")
        assert desk.relays[2].device is None

    play(tmp_path, scenario)


def test_device_that_cannot_be_attached_is_the_clients_problem(tmp_path):
    async def scenario(desk):
        desk.stage.hardware.fail = "0000:01:00.0 is bound to the kernel driver igbvf"
        with refused(errno.ENODEV, "kernel driver igbvf"):
            await desk.controller.add(["0000:01:00.0"], 1, True, None, 0)
        assert desk.controller.attached() == {}

    play(tmp_path, scenario)


def test_socket_and_device_come_and_go_together(tmp_path):
    async def scenario(desk):
        controller, path = desk.controller, str(tmp_path / "vm.sock")
        await controller.add_sock([VF], path, False, None, 0)
        assert controller.query_pci(path) == VF
        assert desk.stage.tables["relays"][0]["socket"] == path.encode()
        await controller.add_sock([VF], path, True, None, 0)
        with refused(errno.EBUSY):
            await controller.add_sock(["net_null1"], path, True, None, 0)
        await controller.remove_sock([VF], path, False, None)
        assert controller.attached() == {}
        assert not (tmp_path / "vm.sock").exists()
        with refused(errno.ENOENT):
            controller.query_pci(path)

    play(tmp_path, scenario, dynamic_sockets=True)


def test_socket_that_cannot_be_made_takes_the_device_back(tmp_path):
    async def scenario(desk):
        with refused(errno.EADDRINUSE, "no directory"):
            await desk.controller.add_sock([VF], str(tmp_path / "none/vm.sock"), False, None, 0)
        assert desk.controller.attached() == {}
        assert not desk.stage.hardware.ports

    play(tmp_path, scenario, dynamic_sockets=True)


def test_symbolic_link_to_a_socket_names_its_relay(tmp_path):
    async def scenario(desk):
        await desk.sockets.open(desk.relays[3], str(tmp_path / "real.sock"))
        link = tmp_path / "link.sock"
        link.symlink_to(tmp_path / "real.sock")
        await desk.controller.add([VF], 3, False, None, 0)
        assert desk.controller.query_pci(str(link)) == VF
        link.unlink()

    play(tmp_path, scenario)


def test_moves_show_in_the_map_and_stick(tmp_path):
    async def scenario(desk):
        controller, stage = desk.controller, desk.stage
        await controller.add([VF], 1, False, None, 0)
        await desk.relays[1].guest_resume(guest())
        await controller.move(1, 12, 11)
        assert controller.relay_cpu_map() == {1: ((12, 11),)}
        assert stage.owners(desk.relays[1]) == (1, 0)
        await controller.move(1, -1, 12)
        assert controller.relay_cpu_map() == {1: ((12, 12),)}
        await stage.kill(1)
        assert controller.relay_cpu_map() == {1: ((11, 11),)}
        await stage.restart(1)
        assert controller.relay_cpu_map() == {1: ((12, 12),)}

    play(tmp_path, scenario)


def test_lanes_are_moved_and_pinned_each_on_its_own(tmp_path):
    async def scenario(desk):
        controller, stage = desk.controller, desk.stage
        stage.hardware.queues = 4
        await controller.pin(1, ((11, 12), (12, 11)))
        await controller.add([VF], 1, False, None, 0)
        await desk.relays[1].guest_resume(guest(pairs=4))
        assert controller.relay_cpu_map() == {1: ((11, 12), (12, 11), (11, 12), (12, 11))}
        await controller.move(1, -1, 11, lane=2)
        assert controller.relay_cpu_map() == {1: ((11, 12), (12, 11), (11, 11), (12, 11))}
        with refused(errno.EINVAL, "no lane 4: it has 4"):
            await controller.move(1, 11, 11, lane=4)
        await stage.kill(1)
        assert controller.relay_cpu_map() == {1: ((11, 11),) * 4}
        await stage.restart(1)
        assert controller.relay_cpu_map() == {1: ((11, 12), (12, 11), (11, 11), (12, 11))}
        await controller.move(1, 12, -1)
        assert controller.relay_cpu_map() == {1: ((12, 12), (12, 11), (12, 11), (12, 11))}
        stage.check()

    play(tmp_path, scenario)


def test_move_of_an_unused_relay_is_a_pin(tmp_path):
    async def scenario(desk):
        await desk.controller.move(2, 12, -1)
        assert desk.controller.relay_cpu_map() == {}
        await desk.controller.add([VF], 2, False, None, 0)
        assert desk.controller.relay_cpu_map() == {2: ((12, 12),)}

    play(tmp_path, scenario)


def test_half_a_move_is_taken_back(tmp_path):
    async def scenario(desk):
        await desk.controller.add([VF], 1, False, None, 0)
        await desk.relays[1].guest_resume(guest())
        await desk.controller.move(1, 11, 11)
        # The new worker takes the first direction and dies of the second.
        worker = desk.stage.workers[1]
        honest = worker.request

        async def dies(message, fds=()):
            if message.direction != VF_TO_VM:
                worker.alive = False
            await honest(message, fds)

        worker.request = dies
        with refused(errno.EIO, "stays where it is"):
            await desk.controller.move(1, 12, 12)
        assert desk.controller.relay_cpu_map() == {1: ((11, 11),)}
        await desk.stage.kill(1)
        desk.stage.check()

    play(tmp_path, scenario)


def test_cpu_without_worker_is_named(tmp_path):
    async def scenario(desk):
        await desk.controller.add([VF], 1, False, None, 0)
        with refused(errno.EINVAL, "CPU 13 has no worker; the worker CPUs are 11,12"):
            await desk.controller.move(1, 13, 13)
        with refused(errno.EINVAL, "CPU 13"):
            await desk.controller.move(2, 13, -1)

    play(tmp_path, scenario)
