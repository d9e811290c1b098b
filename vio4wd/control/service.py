"""What an endpoint needs of the service behind it."""

from __future__ import annotations

import enum
import errno
from typing import Final, Protocol, TypeVar

from google.protobuf.message import Message

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message, covariant=True)


class Refusal(enum.Enum):
    """Why a frame is answered without asking the service."""

    MALFORMED = "no valid request"
    TOO_LARGE = "request too large"
    BUSY = "too many requests at once"
    FAULT = "fault in the daemon"


#: The same for services whose errors are numbers of <errno.h>.
ERRNO: Final = {
    Refusal.MALFORMED: errno.EBADMSG,
    Refusal.TOO_LARGE: errno.EMSGSIZE,
    Refusal.BUSY: errno.EAGAIN,
    Refusal.FAULT: errno.EIO,
}


class Service(Protocol[Request, Response]):
    """Answers requests of one kind."""

    @property
    def request_type(self) -> type[Request]:
        """What frames are parsed as."""

    async def answer(self, request: Request) -> Response:
        """The response to a well-formed request, errors included."""

    def refuse(self, refusal: Refusal, detail: str) -> Response:
        """A response that says so; `detail` is one line for people."""
