"""Tests that initialise DPDK: once in a process, so each in a fresh interpreter of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from vio4wd.dpdk import eal
from vio4wd.master.eal_files import runtime_directory
from vio4wd.testing.hugepages import mount_point

R = TypeVar("R")


def _call(answer: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        answer.send((True, function(*arguments)))
    except BaseException:
        answer.send((False, traceback.format_exc()))
        sys.exit(1)


def run_isolated(function: Callable[..., R], *arguments: object, timeout: float = 120.0) -> R:
    """Result of a module-level function called in a fresh interpreter.

    Raises:
        AssertionError: it raised (its traceback is the text), died, or took longer than `timeout` seconds.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    try:
        if not ours.poll(timeout):
            raise AssertionError(f"{function.__name__} took longer than {timeout:.0f} s")
        try:
            done, result = ours.recv()
        except EOFError:
            process.join(10)
            raise AssertionError(f"{function.__name__} died, exit status {process.exitcode}") from None
        if not done:
            raise AssertionError(result)
        returned: R = result
        process.join(30)
        return returned
    finally:
        process.kill()
        process.join()
        ours.close()


@contextlib.contextmanager
def primary(*options: str) -> Iterator[str]:
    """This process as a DPDK primary; its file prefix. No file of it is left behind."""
    prefix = f"vio4wd-test-{os.getpid()}"
    try:
        eal.init([*eal.primary_arguments(prefix, min(os.sched_getaffinity(0)), str(mount_point())), *options])
        yield prefix
        eal.cleanup()
    finally:
        shutil.rmtree(runtime_directory(prefix), ignore_errors=True)
        for page in mount_point().glob(f"{prefix}map_*"):
            page.unlink(missing_ok=True)
