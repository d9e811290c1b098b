"""Ports with several queues: as many as are wanted, of use, and to be had."""

import types
from pathlib import Path

import pytest
from test_attach import MEMIF, stage

from vio4wd.dpdk.errors import DpdkError
from vio4wd.testing.isolated import run_isolated


def several_queues(device: str, most: int, expected: int, pumped: bool) -> None:
    """As many queues as are wanted and of use; what waits in any of them comes back when the port goes."""
    with stage() as st:
        from vio4wd.dpdk._binding import ffi, lib

        port = st.attach(device, queues=most)
        assert (port.ref.queues, port.pumped) == (expected, pumped)
        if expected > 1:  # ... and so such that return what they are sent, or forget it
            packets = ffi.new("struct rte_mbuf *[]", 1)
            address = int(ffi.cast("uintptr_t", packets))
            for queue in range(expected):
                assert lib.vio_alloc_bulk(st.pool.address, 0, address, 1) == 1
                assert lib.vio_tx_burst(port.port_id, queue, address, 1) == 1
        port.detach()


@pytest.mark.parametrize(
    ("device", "most", "expected"),
    [("net_null0", 4, 4), ("net_null0", 1, 1), ("net_ring0", 8, 8), (MEMIF, 4, 1)],
)
def test_several_queues(device: str, most: int, expected: int, tmp_path: Path):
    run_isolated(several_queues, device.format(folder=tmp_path), most, expected, False)


def test_one_queue_of_a_port_that_is_pumped_though_it_spreads_flows():
    run_isolated(several_queues, "net_tap0,iface=vio4wdtap", 4, 1, True)


def unexpected() -> None:
    """A driver with several queues that turns out to need the pump is started with one, then and later."""
    with stage() as st:
        st.trial._ask = lambda port, info: "pumped: for this test"
        for known in (False, True):
            assert (
                st.trial.may_be_direct(types.SimpleNamespace(driver="net_ring", bus="vdev", if_index=0))
                is not known
            )
            port = st.attach("net_ring0", queues=4)
            assert port.pumped
            assert port.ref.queues == 1
            port.detach()


def test_one_queue_of_a_port_that_turns_out_to_be_pumped():
    run_isolated(unexpected)


def test_fewer_queues_where_the_driver_refuses():
    from vio4wd.ports.attach import PortOptions, configure

    asked = []

    class Miser:
        """A port whose physical function gives it two queues."""

        def info(self):
            return types.SimpleNamespace(max_mtu=1500, max_frame=0, if_index=0)

        def configure(self, queues, descriptors, pool, **wanted):
            asked.append((queues, descriptors))
            if queues > 2:
                raise DpdkError("configuring the device failed: Invalid argument")
            return queues

    assert configure(Miser(), types.SimpleNamespace(data_room=2176), PortOptions(), 8) == 2
    assert asked == [(8, 256), (4, 256), (2, 512)]
