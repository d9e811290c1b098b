"""One worker process as the master sees it: its start, its channel, its end.

The channel carries requests to the worker and one reply for each, in order (`worker.protocol`). A
worker that does not answer in time may be anywhere, even in the middle of guest memory that is about
to go. So it is killed, and the request fails only when the process is gone: whoever asked for a
release may rely on nothing being touched any more, however the release came about.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vio4wd.worker import protocol

if TYPE_CHECKING:
    from vio4wd.shm import layout

_log = logging.getLogger(__name__)

#: Seconds for the answer to a request. A worker looks at its doorbell every burst; mapping a large
#: guest's memory takes some milliseconds.
ANSWER_TIME: Final = 5.0
#: Seconds from the start of the process until it serves; compiling the kernels into an empty cache
#: on a slow machine takes most of a minute.
START_TIME: Final = 180.0
#: Seconds between the end of the channel and that of the process.
LAST_WORDS_TIME: Final = 1.0


class WorkerGoneError(Exception):
    """The worker process has ended; it touches nothing any more."""


class WorkerRefusedError(Exception):
    """The worker lives and said why it cannot do what was asked."""


_OWN_LINE: Final = re.compile(r"worker cpu\d+: ([A-Z]+) (.*)")


def split_level(line: str) -> tuple[int, str]:
    """Level and text of a line of a worker's log; lines of DPDK name no level and count as information."""
    own = _OWN_LINE.fullmatch(line)
    level = logging.getLevelNamesMapping().get(own[1]) if own else None
    return (level, own[2]) if own and level is not None else (logging.INFO, line)


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What every worker of a daemon is started with; see `vio4wd-worker --help`. `module` is the program."""

    instance: str
    idle: str
    log_level: str
    nice: int = 0
    module: str = "vio4wd.cli.worker"

    def command(self, slot: int, cpu: int, channel: int) -> list[str]:
        """Program and arguments for the worker of a slot, with its end of the channel."""
        named = {"slot": slot, "cpu": cpu, "instance": self.instance, "channel-fd": channel}
        named |= {"idle": self.idle, "log-level": self.log_level, "nice": self.nice}
        arguments = [f"--{name}={value}" for name, value in named.items()]
        return [sys.executable, "-P", "-m", self.module, *arguments]


class WorkerHandle:
    """A worker process on one CPU. `spawn()` and then `start()`, once; a new process needs a new handle.

    Attributes:
        slot: its row in the control and worker tables.
        cpu: the CPU it is pinned to.
        pid: of the process, 0 before the start.
    """

    def __init__(self, slot: int, cpu: int, options: WorkerOptions) -> None:
        self.slot = slot
        self.cpu = cpu
        self.pid = 0
        self._options = options
        self._tables: layout.Tables | None = None
        self._channel: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._answers: collections.deque[asyncio.Future[str]] = collections.deque()
        self._turn = asyncio.Lock()
        self._exited = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.running = False

    async def spawn(self) -> None:
        """Make the process. It loads its program and the kernels, which needs nothing of ours, and waits.

        Raises:
            WorkerGoneError: it cannot be made.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        command = self._options.command(self.slot, self.cpu, theirs.fileno())
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )
        except OSError as error:
            ours.close()
            self._exited.set()
            raise WorkerGoneError(f"the worker on CPU {self.cpu} cannot be started: {error}") from None
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._process = process
        self.pid = process.pid
        self._channel = ours
        asyncio.get_running_loop().add_reader(ours, self._readable)
        self._tasks = [
            asyncio.create_task(self._reap(process)),
            asyncio.create_task(self._relay_log(process)),
        ]

    async def start(self, tables: layout.Tables, pci: Sequence[str] = ()) -> None:
        """Let the process join our DPDK, and wait until it serves.

        Args:
            tables: where it writes what it does.
            pci: addresses of the PCI devices that are attached.

        Raises:
            WorkerGoneError: it has ended, or was killed because it took too long.
        """
        self._tables = tables
        try:
            await self.request(protocol.Begin(tuple(pci)), answer_time=START_TIME)
        except (WorkerGoneError, WorkerRefusedError):
            await self.kill()
            await self._tasks[1]  # its last words belong before ours
            why = f"the worker on CPU {self.cpu} ended while it started; the lines above say why"
            raise WorkerGoneError(why) from None
        self.running = True

    async def request(
        self, message: protocol.Message, fds: Sequence[int] = (), answer_time: float = ANSWER_TIME
    ) -> None:
        """Have the worker do something; returns when it is done.

        Args:
            fds: descriptors that the message refers to by index; they stay the caller's.
            answer_time: seconds after which the worker counts as stuck and is killed.

        Raises:
            WorkerGoneError: the process has ended, before or meanwhile.
            WorkerRefusedError: the worker's own words.
        """
        async with self._turn:
            if self._channel is None:
                await self.kill()
                raise WorkerGoneError(f"the worker on CPU {self.cpu} is gone")
            answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            try:
                socket.send_fds(self._channel, [protocol.encode(message)], list(fds))
            except OSError as error:
                await self._condemn(f"takes no request ({error.strerror})")
            self._answers.append(answer)
            if self._tables is not None:
                self._tables["control"][self.slot]["doorbell"] += 1
            try:
                refusal = await asyncio.wait_for(answer, answer_time)
            except TimeoutError:
                await self._condemn(f"did not answer within {answer_time:.0f} s")
            except WorkerGoneError:
                await self.kill()
                raise
        if refusal:
            raise WorkerRefusedError(f"the worker on CPU {self.cpu} refuses: {refusal}")

    async def _condemn(self, why: str) -> None:
        _log.error("worker on CPU %d (pid %d) %s; killing it", self.cpu, self.pid, why)
        await self.kill()
        raise WorkerGoneError(f"the worker on CPU {self.cpu} {why}")

    def _readable(self) -> None:
        if self._channel is None:
            return
        try:
            data = self._channel.recv(protocol.MAX_MESSAGE)
            reply = protocol.decode(data) if data else None
        except BlockingIOError:
            return
        except ConnectionResetError:  # it was killed with a request unread
            reply = None
        except (OSError, ValueError) as error:
            _log.error("worker on CPU %d: %s", self.cpu, error)
            reply = None
        if not isinstance(reply, protocol.Reply):
            self._close_channel()
            self._tasks.append(asyncio.create_task(self._kill_later()))
            return
        if self._answers:
            answer = self._answers.popleft()
            if not answer.done():
                answer.set_result(reply.error)

    def _close_channel(self) -> None:
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel)
            self._channel.close()
            self._channel = None
        while self._answers:
            answer = self._answers.popleft()
            if not answer.done():
                answer.set_exception(WorkerGoneError(f"the worker on CPU {self.cpu} is gone"))

    async def _kill_later(self) -> None:
        """A worker whose channel is closed is about to end; one that does not is of no use."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._exited.wait(), LAST_WORDS_TIME)
        await self.kill()

    async def _relay_log(self, process: asyncio.subprocess.Process) -> None:
        """The worker's standard error, its own lines and those of DPDK's C code, goes into our log."""
        assert process.stderr is not None
        async for line in process.stderr:
            level, text = split_level(line.decode(errors="replace").rstrip())
            _log.log(level, "worker on CPU %d: %s", self.cpu, text)

    async def _reap(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        self.running = False
        self._exited.set()
        self._close_channel()

    async def wait(self) -> str:
        """Wait for the end of the process; says how it ended."""
        await self._exited.wait()
        assert self._process is not None
        code = self._process.returncode or 0
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    async def kill(self) -> None:
        """SIGKILL, and wait until the process is gone. One that has ended already is fine."""
        if self._process is None:
            return
        if not self._exited.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        await self._exited.wait()

    async def stop(self, seconds: float) -> None:
        """Ask the worker to end and wait for that; after `seconds` it is killed."""
        if self._process is None:
            return
        try:
            async with asyncio.timeout(seconds):
                with contextlib.suppress(WorkerGoneError, WorkerRefusedError):
                    await self.request(protocol.Stop(), answer_time=seconds)
                await self._exited.wait()
        except TimeoutError:
            pass
        await self.kill()
