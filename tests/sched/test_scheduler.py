"""The scheduler against endpoints that answer as a daemon does."""

import logging

import pytest
from played_daemon import PACE, START, PlayedDaemon, uneven

from vio4wd.control.client import ClientError
from vio4wd.sched.daemon_link import DaemonLink
from vio4wd.sched.meter import Meter
from vio4wd.sched.scheduler import Policy, Scheduler

INTERVAL = 1.0


class Sleeps(list):
    """Notes how long one would have slept."""

    def __call__(self, seconds):
        self.append(seconds)


def scheduler_of(daemon, sleeps, **policy):
    link = DaemonLink(daemon.stats_ep, daemon.sched_ep, timeout=30)
    return Scheduler(link, Policy(interval=INTERVAL, **policy), lambda cpu: 0, sleeps)


@pytest.mark.parametrize("exact", [True, False], ids=["measured", "estimated"])
def test_balanced_in_two_intervals_and_left_alone(tmp_path, exact):
    with PlayedDaemon(tmp_path, [1, 2], START, uneven, exact=exact) as daemon:
        scheduler = scheduler_of(daemon, Sleeps())
        scheduler.interval()
        scheduler.interval()
        moved = list(daemon.moves)
        assert moved
        loads = daemon.loads().values()
        assert max(loads) - min(loads) < 0.05
        assert max(loads) < 1
        for _ in range(100):
            scheduler.interval()
        assert daemon.moves == moved
        assert "variation 0.0" in scheduler.status


def test_an_old_daemon_is_not_kept_busy(tmp_path):
    """It measures for a short time only; the rest of the interval is slept."""
    sleeps = Sleeps()
    with PlayedDaemon(tmp_path, [1], {0: (1, 1)}, uneven, exact=False) as daemon:
        meter = Meter(DaemonLink(daemon.stats_ep, daemon.sched_ep, 30), INTERVAL, sleeps)
        (relay,) = meter.measure()
        assert relay.loads == pytest.approx((0.4, 0.4))
        assert not meter.exact
    assert sleeps[0] > INTERVAL / 2


def test_a_measuring_daemon_measures_all_the_time(tmp_path):
    sleeps = Sleeps()
    with PlayedDaemon(tmp_path, [1], {0: (1, 1)}, uneven) as daemon:
        meter = Meter(DaemonLink(daemon.stats_ep, daemon.sched_ep, 30), INTERVAL, sleeps)
        meter.measure()
        assert meter.exact
        assert sleeps == []  # the first look is short, what follows is decided on sooner
        meter.measure()
        assert sleeps[0] <= INTERVAL * (1 - 1 / PACE)  # only what the played daemon was too fast


def test_a_refused_move_is_told_and_nothing_else_happens(tmp_path, caplog):
    with PlayedDaemon(tmp_path, [1, 2], START, uneven, refuse="worker on CPU 2 is dead") as daemon:
        scheduler = scheduler_of(daemon, Sleeps())
        for _ in range(5):
            scheduler.interval()
        assert daemon.where == START
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert any("relay 0 stays on CPUs 1,1" in line and "worker on CPU 2 is dead" in line for line in told)


def test_it_waits_for_a_daemon_and_survives_its_restart(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    sleeps = Sleeps()
    daemon = PlayedDaemon(tmp_path, [1, 2], START, uneven)
    scheduler = scheduler_of(daemon, sleeps)
    scheduler.interval()
    scheduler.interval()
    assert scheduler.status.startswith("waiting: ")
    assert len(sleeps) == 2
    with daemon:
        for _ in range(3):
            scheduler.interval()
    assert daemon.moves
    scheduler.interval()
    assert scheduler.status.startswith("waiting: ")
    daemon.where = dict(START)  # the new one knows nothing of the old one's moves
    daemon.moves.clear()
    with daemon:
        for _ in range(2):
            scheduler.interval()
        assert daemon.moves
    waiting = [record for record in caplog.records if "waiting" in record.getMessage()]
    assert len(waiting) == 2  # once for each time it was lost


def test_relays_that_nobody_serves_are_left_out(tmp_path):
    with PlayedDaemon(tmp_path, [1], {5: (1, 1)}, uneven) as daemon:
        meter = Meter(DaemonLink(daemon.stats_ep, daemon.sched_ep, 30), INTERVAL, Sleeps())
        assert [relay.relay for relay in meter.measure()] == [5]


def test_errors_of_the_link_are_client_errors(tmp_path):
    link = DaemonLink(f"ipc://{tmp_path}/a", f"ipc://{tmp_path}/b", timeout=30)
    for question in (lambda: link.measure(0.1), link.cores, lambda: link.move(0, (1, 1))):
        with pytest.raises(ClientError, match="nobody listens"):
            question()
    with (
        PlayedDaemon(tmp_path, [1], {}, uneven, refuse="no") as daemon,
        pytest.raises(ClientError, match=r"no \(error 5"),
    ):
        DaemonLink(daemon.stats_ep, daemon.sched_ep, 30).move(0, (1, 1))
