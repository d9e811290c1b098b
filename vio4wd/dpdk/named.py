"""What lies in hugepages under a name, by which the processes of an instance find it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

from vio4wd.dpdk._binding import ffi, lib
from vio4wd.dpdk.errors import DpdkError, reason


class Named:
    """One such object. Who created it frees it.

    Attributes:
        pointer: cffi's, NULL once it was freed.
    """

    #: What it is called in texts.
    _kind: ClassVar[str]
    #: From its name to a pointer, NULL where there is none.
    _find: ClassVar[Callable[[bytes], object]]

    def __init__(self, pointer: object, name: str) -> None:
        # cffi's structures have attributes that mypy cannot know.
        self.pointer: Any = pointer
        self.name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    @classmethod
    def lookup(cls, name: str) -> Self:
        """The one of this name that another process made.

        Raises:
            DpdkError: there is none.
        """
        pointer = cls._find(name.encode())
        if pointer == ffi.NULL:
            raise DpdkError(f"there is no {cls._kind} {name}")
        return cls(pointer, name)

    @classmethod
    def _made(cls, pointer: object, name: str, of: str = "") -> Self:
        """A new one, where DPDK made it.

        Args:
            of: how large it should be, for the text.

        Raises:
            DpdkError: the pointer is NULL.
        """
        if pointer == ffi.NULL:
            raise DpdkError(f"{cls._kind} {name}{of} cannot be made: {reason(lib.vio_errno())}")
        return cls(pointer, name)

    @property
    def address(self) -> int:
        """Its address, the same in all processes."""
        return int(ffi.cast("uintptr_t", self.pointer))
