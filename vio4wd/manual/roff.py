"""The few requests of man(7) that pages are made of."""

from __future__ import annotations

from collections.abc import Iterable


def escape(text: str) -> str:
    """Text as roff prints it unchanged."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = text.replace('"', "\\(dq").replace("^", "\\(ha").replace("~", "\\(ti")
    # A line that begins with a point would be a request.
    return "\n".join(f"\\&{line}" if line.startswith(".") else line for line in text.splitlines())


def bold(text: str) -> str:
    return f"\\fB{escape(text)}\\fR"


def italic(text: str) -> str:
    return f"\\fI{escape(text)}\\fR"


def title(name: str, section: int, version: str) -> str:
    """The head of a page; words such as options and paths are not to be hyphenated."""
    return f'.TH "{escape(name)}" {section} "" "VIO4WD {escape(version)}" "VIO4WD"\n.nh\n'


def heading(text: str) -> str:
    return f".SH {escape(text)}\n"


def subheading(text: str) -> str:
    return f".SS {escape(text)}\n"


def paragraph(text: str) -> str:
    """Running text; its line breaks mean nothing."""
    return f".PP\n{escape(' '.join(text.split()))}\n"


def item(tag: str, text: str) -> str:
    """A tagged paragraph.

    Args:
        tag: in roff already.
        text: plain; a break between lines stays.
    """
    lines = [escape(" ".join(line.split())) for line in text.splitlines()]
    return f".TP\n{tag}\n" + "\n.br\n".join(lines) + "\n"


def verbatim(lines: Iterable[str]) -> str:
    """Lines that are not filled."""
    return ".PP\n.RS 4\n.nf\n" + "".join(f"{escape(line)}\n" for line in lines) + ".fi\n.RE\n"
