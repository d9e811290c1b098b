"""Devices and their ports, in the primary and in secondaries."""

import multiprocessing
import os

import pytest

from vio4wd.dpdk import eal
from vio4wd.dpdk.errors import DpdkError
from vio4wd.testing.isolated import primary, run_isolated

LCORE = 9


def port_life() -> None:
    from vio4wd.dpdk import device
    from vio4wd.dpdk.ethdev import Port
    from vio4wd.dpdk.mempool import Pool

    with primary():
        pool = Pool.create("pool", 4095)
        (number,) = device.probe("net_null0,size=100")
        assert device.ports_of("net_null0") == [number]
        assert device.ports_used() == 1
        port = Port(number)
        info = port.info()
        assert (info.device, info.bus, info.driver, info.if_index) == ("net_null0", "vdev", "net_null", 0)
        configured = port.configure(1, 256, pool, mtu=1500, tx_offloads=1 << 5, rss=True)
        assert configured.tx_offloads == 0  # net_null can do nothing of that
        assert not configured.rss
        assert configured.rss_functions == 0
        port.start()
        assert port.link()
        assert port.mtu() == 1500
        assert len(port.mac().split(":")) == 6
        assert port.burst_origin(transmit=False) != port.burst_origin(transmit=True)
        assert port.drain(100) == 128
        assert port.stats().rx_packets == 128
        with pytest.raises(DpdkError, match="net_null0 is attached already"):
            device.probe("net_null0")
        port.stop()
        device.remove(number)
        assert not port.exists()
        assert not port.link()
        assert device.ports_used() == 0
        assert pool.available() == pool.size
        with pytest.raises(DpdkError, match=f"port {number} cannot say what it is"):
            port.info()


def test_port_life():
    run_isolated(port_life)


def flow_types() -> None:
    from vio4wd.dpdk import device
    from vio4wd.dpdk._binding import lib
    from vio4wd.dpdk.ethdev import RSS_FUNCTIONS, Port
    from vio4wd.dpdk.mempool import Pool

    with primary():
        pool = Pool.create("pool", 4095)
        (number,) = device.probe("net_null0")
        port = Port(number)
        configured = port.configure(2, 256, pool, mtu=1500)
        assert configured.rss_functions == RSS_FUNCTIONS  # net_null can hash anything
        for wanted in (lib.RTE_ETH_RSS_IP, lib.RTE_ETH_RSS_TCP, lib.RTE_ETH_RSS_UDP, lib.RTE_ETH_RSS_SCTP):
            assert configured.rss_functions & wanted == wanted
        device.remove(number)
        (number,) = device.probe("net_tap0,iface=vio4wdtap")
        port = Port(number)
        able = port.info().rss_functions
        configured = port.configure(2, 256, pool, mtu=1500)
        assert configured.rss_functions == able & RSS_FUNCTIONS
        assert 0 < configured.rss_functions < RSS_FUNCTIONS  # it knows no SCTP, which must not matter
        device.remove(number)


def test_flows_of_all_kinds_are_spread_where_the_driver_can():
    run_isolated(flow_types)


@pytest.mark.parametrize(
    ("devargs", "reason"),
    [
        ("net_af_packet0,iface=nothere", "net_af_packet0 cannot be attached: .*No such device"),
        ("net_nosuchdriver0", 'net_nosuchdriver0 cannot be attached: .*"net_nosuchdriver0"'),
        ("0000:fe:1f.7", "0000:fe:1f.7 cannot be attached: no DPDK driver takes it"),
        ("net_null0,size=banana,nonsense=1", "net_null0 cannot be attached: "),
    ],
)
def test_what_cannot_be_attached_is_refused_with_the_reason(devargs: str, reason: str):
    run_isolated(refused, devargs, reason)


def refused(devargs: str, reason: str) -> None:
    from vio4wd.dpdk import device

    with primary():
        with pytest.raises(DpdkError, match=reason):
            device.probe(devargs)
        assert device.ports_used() == 0
        # A failure leaves nothing in the way of the next one.
        (number,) = device.probe("net_null0")
        device.remove(number)


def all_ports() -> None:
    from vio4wd.dpdk import device

    with primary():
        limit = device.max_ports()
        for n in range(limit):
            device.probe(f"net_null{n}")
        with pytest.raises(
            DpdkError, match=f"net_null99: all {limit} ports of this DPDK are in use .*make dpdk"
        ):
            device.probe("net_null99")
        for port in range(limit):
            device.remove(port)
        assert device.ports_used() == 0


def test_the_port_limit_is_named():
    run_isolated(all_ports)


def _secondary(prefix: str, asked, answered) -> None:
    """Runs in another process: does what it is asked."""
    eal.init(eal.secondary_arguments(prefix, LCORE, min(os.sched_getaffinity(0))))
    from vio4wd.dpdk.ethdev import Port
    from vio4wd.dpdk.mempool import Pool

    answered.send("ready")
    while (request := asked.recv()) != "stop":
        match request:
            case ("exists", number):
                answered.send(Port(number).exists())
            case ("drain", number, limit):
                answered.send(Port(number).drain(limit))
            case ("flush", name):
                Pool.lookup(name).flush()
                answered.send(None)
    eal.cleanup()


class Secondary:
    def __init__(self, prefix: str) -> None:
        context = multiprocessing.get_context("spawn")
        theirs, self._ask = context.Pipe(duplex=False)
        self._answer, answers = context.Pipe(duplex=False)
        self.process = context.Process(target=_secondary, args=(prefix, theirs, answers))
        self.process.start()
        assert self._read() == "ready"

    def _read(self):
        assert self._answer.poll(60), "the secondary does not answer"
        return self._answer.recv()

    def ask(self, *request):
        self._ask.send(request)
        return self._read()

    def stop(self) -> None:
        self._ask.send("stop")
        self.process.join(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()


def sharing() -> None:
    from vio4wd.dpdk import device
    from vio4wd.dpdk.ethdev import Port
    from vio4wd.dpdk.mempool import Pool

    with primary() as prefix, Secondary(prefix) as early:
        pool = Pool.create("pool", 4095)
        (number,) = device.probe("net_null0")
        assert not early.ask("exists", number)  # not yet: it would see a port without queues
        port = Port(number)
        port.configure(1, 256, pool, mtu=1500)
        port.start()
        device.share("net_null0")
        assert early.ask("drain", number, 320) == 320
        device.share("net_null0")  # once more changes nothing
        with Secondary(prefix) as late:  # finds it by itself
            assert late.ask("drain", number, 320) == 320
            late.ask("flush", "pool")
            early.ask("flush", "pool")
            assert pool.available() == pool.size
            late.stop()
        port.stop()
        device.remove(number)
        assert not early.ask("exists", number)
        early.stop()


def test_secondaries_learn_of_a_started_port():
    run_isolated(sharing)


def killed_secondary() -> None:
    """Devices come and go when a secondary was killed; its lcore's cache is taken over by its successor."""
    from vio4wd.dpdk import device
    from vio4wd.dpdk.ethdev import Port
    from vio4wd.dpdk.mempool import Pool

    with primary() as prefix:
        pool = Pool.create("pool", 4095)
        (number,) = device.probe("net_null0")
        port = Port(number)
        port.configure(1, 256, pool, mtu=1500)
        port.start()
        with Secondary(prefix) as victim:
            assert victim.ask("drain", number, 320) == 320
            victim.process.kill()
            victim.process.join()
        assert pool.available() == pool.size
        (other,) = device.probe("net_null1")
        device.share("net_null1")
        device.remove(other)
        with Secondary(prefix) as successor:
            assert successor.ask("drain", number, 320) == 320
            successor.stop()
        port.stop()
        device.remove(number)


def test_a_killed_secondary_is_in_nobodys_way():
    run_isolated(killed_secondary)
