"""Worker handles and their supervision, with a worker process that needs no DPDK."""

import asyncio
import contextlib
import os
import pathlib
import uuid

import psutil
import pytest

from vio4wd.master import worker_handle, workers
from vio4wd.master.errors import MasterError
from vio4wd.master.worker_handle import (
    WorkerGoneError,
    WorkerHandle,
    WorkerOptions,
    WorkerRefusedError,
)
from vio4wd.shm import segment
from vio4wd.worker import protocol

GOOD, SILENT, REFUSING, DYING, STILLBORN, HEARTLESS = 1, 2, 3, 4, 5, 6
RELEASE = protocol.Release(1, 0)


@pytest.fixture
def tables():
    made = segment.create(f"vio4wd-test-{uuid.uuid4().hex[:8]}", tsc_hz=1_000_000_000)
    yield made
    segment.remove(made.name)
    made.close()


@pytest.fixture
def options(tables, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(__file__).parent), prepend=os.pathsep)
    return WorkerOptions(tables.name, "poll", "INFO", module="fake_worker")


@contextlib.asynccontextmanager
async def started(cpu, options, tables):
    handle = WorkerHandle(0, cpu, options)
    try:
        await handle.spawn()
        await handle.start(tables.tables)
        yield handle
    finally:
        await handle.kill()


def test_request_with_descriptors_rings_the_doorbell_and_is_answered(tables, options):
    async def scenario():
        async with started(GOOD, options, tables) as handle:
            reader, writer = os.pipe()
            await handle.request(RELEASE, [writer])
            os.close(writer)
            assert os.read(reader, 10) == b"seen"
            os.close(reader)
            assert tables.tables["control"][0]["doorbell"] == 2  # the first one was to begin
            await asyncio.gather(*(handle.request(RELEASE) for _ in range(50)))
            await handle.stop(10)
            assert await handle.wait() == "exit status 0"

    asyncio.run(scenario())


def test_refusal_carries_the_workers_words(tables, options):
    async def scenario():
        async with started(REFUSING, options, tables) as handle:
            with pytest.raises(WorkerRefusedError, match="CPU 3 refuses: no room"):
                await handle.request(RELEASE)
            assert handle.running

    asyncio.run(scenario())


def test_worker_that_does_not_answer_is_gone_when_the_request_fails(tables, options):
    async def scenario():
        async with started(SILENT, options, tables) as handle:
            with pytest.raises(WorkerGoneError):
                await handle.request(RELEASE, answer_time=0.3)
            assert not psutil.pid_exists(handle.pid)
            with pytest.raises(WorkerGoneError):
                await handle.request(RELEASE)

    asyncio.run(scenario())


def test_worker_that_dies_fails_all_requests(tables, options):
    async def scenario():
        async with started(DYING, options, tables) as handle:
            results = await asyncio.gather(
                *(handle.request(RELEASE) for _ in range(3)), return_exceptions=True
            )
            assert all(isinstance(result, WorkerGoneError) for result in results)
            assert await handle.wait() == "exit status 7"

    asyncio.run(scenario())


def test_no_descriptors_are_left(tables, options):
    async def scenario():
        before = psutil.Process().num_fds()
        for cpu in (GOOD, DYING, STILLBORN):
            with contextlib.suppress(WorkerGoneError):
                async with started(cpu, options, tables) as handle:
                    await handle.request(RELEASE)
        await asyncio.sleep(0.1)
        return before, psutil.Process().num_fds()

    async def twice():
        await scenario()  # the loop's own descriptors come with the first child process
        return await scenario()

    before, after = asyncio.run(twice())
    assert after <= before


class Team:
    """Workers under supervision, and what was told about them."""

    def __init__(self, cpus, options, tables):
        self.told = []
        self._tables = tables.tables
        self.workers = workers.Workers(cpus, options)

    async def start(self):
        await self.workers.spawn()
        surroundings = workers.Surroundings(contextlib.AsyncExitStack, self._lost, self._running)
        await self.workers.start(self._tables, surroundings)

    async def _lost(self, slot):
        self.told.append(("lost", slot))

    async def _running(self, slot):
        self.told.append(("running", slot))

    async def until(self, event, count=1):
        async with asyncio.timeout(60):
            while self.told.count(event) < count:
                await asyncio.sleep(0.02)


def test_dead_worker_is_reported_and_replaced(tables, options):
    async def scenario():
        team = Team([GOOD], options, tables)
        try:
            await team.start()
            first = team.workers.get(0).pid
            assert team.workers.all_beat()
            for repeat in (2, 3):
                os.kill(team.workers.get(0).pid, 9)
                await team.until(("running", 0), repeat)
            assert team.told == [("running", 0), *[("lost", 0), ("running", 0)] * 2]
            assert team.workers.get(0).pid != first
        finally:
            await team.workers.stop(10)
        assert not any(psutil.pid_exists(pid) for pid in team.workers.pids())

    asyncio.run(scenario())


def test_worker_without_heartbeat_is_replaced(tables, options, monkeypatch):
    monkeypatch.setattr(workers, "STUCK_AFTER", 0.5)

    async def scenario():
        team = Team([HEARTLESS], options, tables)
        try:
            await team.start()
            await team.until(("lost", 0))
        finally:
            await team.workers.stop(10)

    asyncio.run(scenario())


def test_start_fails_when_a_worker_does_not_come_up(tables, options):
    async def scenario():
        team = Team([GOOD, STILLBORN], options, tables)
        try:
            with pytest.raises(MasterError, match="CPU 5 ended while it started"):
                await team.start()
        finally:
            await team.workers.stop(10)
        assert not any(psutil.pid_exists(pid) for pid in team.workers.pids())

    asyncio.run(scenario())


def test_pause_before_a_restart_grows_and_is_forgiven():
    pause, seen = workers.FIRST_PAUSE, []
    for _ in range(12):
        pause = workers.next_pause(pause, lived=1)
        seen.append(pause)
    assert seen == sorted(seen)
    assert seen[-1] == workers.LONGEST_PAUSE
    assert workers.next_pause(pause, lived=workers.STEADY_AFTER) == workers.FIRST_PAUSE


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        ("worker cpu1: WARNING relay 3: odd", 30, "relay 3: odd"),
        ("EAL: Detected CPU lcores: 2", 20, "EAL: Detected CPU lcores: 2"),
        ("worker cpu1: hello there", 20, "worker cpu1: hello there"),
    ],
)
def test_levels_of_log_lines(line, level, text):
    assert worker_handle.split_level(line) == (level, text)
