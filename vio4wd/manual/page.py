"""The man page of a command, from its parser.

What a parser has no place for stands in its epilog, paragraph by paragraph: one that begins with `examples:`
or `exit status:` becomes a section of its own, others belong to the description.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Final

from vio4wd.manual import roff

SECTION: Final = 8
_WIDE: Final = 10_000


def alias_page(of: str) -> str:
    """The page of a command's other name."""
    return f".so man{SECTION}/{of}.{SECTION}\n"


def page(
    parser: argparse.ArgumentParser,
    version: str,
    see_also: Iterable[str],
    more: Mapping[str, str] | None = None,
) -> str:
    """The page.

    Args:
        see_also: names with their sections, "vio4wd-inspect(8)".
        more: further sections before SEE ALSO, bodies in roff, by title.
    """
    description = " ".join((parser.description or "").split())
    examples, statuses, rest = _epilog(parser)
    parts = [
        roff.title(parser.prog, SECTION, version),
        roff.heading("NAME"),
        f"{roff.escape(parser.prog)} \\- {roff.escape(summary(description))}\n",
        roff.heading("SYNOPSIS"),
        f"{roff.bold(parser.prog)} {roff.escape(_usage(parser))}\n",
        roff.heading("DESCRIPTION"),
        *(roff.paragraph(text) for text in (description, *rest)),
        roff.heading("OPTIONS"),
        *_options(parser),
    ]
    if examples:
        parts += [roff.heading("EXAMPLES"), roff.verbatim(examples)]
    if statuses:
        parts += [roff.heading("EXIT STATUS"), *(roff.item(roff.bold(code), text) for code, text in statuses)]
    for heading, body in (more or {}).items():
        parts += [roff.heading(heading), body]
    others = sorted(name for name in see_also if name != f"{parser.prog}({SECTION})")
    parts += [roff.heading("SEE ALSO"), roff.paragraph(", ".join(others))]
    return "".join(parts)


def summary(description: str) -> str:
    """The description's first sentence or clause, for the NAME section."""
    return re.split(r"[.:;](?: |$)", description)[0]


def _usage(parser: argparse.ArgumentParser) -> str:
    """What follows the name; too many options are told in the list below only."""
    formatter = argparse.HelpFormatter(parser.prog, width=_WIDE)
    shown = [action for action in parser._actions if action.required or len(parser._actions) < 16]
    formatter.add_usage(None, shown, parser._mutually_exclusive_groups if shown == parser._actions else [])
    usage = formatter.format_help().strip().removeprefix(f"usage: {parser.prog}").strip()
    return usage if shown == parser._actions else f"[option ...] {usage}".strip()


def _options(parser: argparse.ArgumentParser) -> Iterable[str]:
    formatter = argparse.HelpFormatter(parser.prog, width=_WIDE)
    for group in parser._action_groups:
        if not group._group_actions:
            continue
        # argparse's own groups need no title here.
        if group.title and group not in (parser._positionals, parser._optionals):
            yield roff.subheading(group.title)
        for action in group._group_actions:
            yield roff.item(_tag(formatter, action), formatter._expand_help(action) if action.help else "")


def _tag(formatter: argparse.HelpFormatter, action: argparse.Action) -> str:
    if not action.option_strings:
        return roff.italic(formatter._metavar_formatter(action, action.dest)(1)[0])
    tag = ", ".join(roff.bold(option) for option in action.option_strings)
    if action.nargs == 0:
        return tag
    value = roff.italic(str(action.metavar or action.dest.upper()))
    return f"{tag} [{value}]" if action.nargs == "?" else f"{tag} {value}"


def _epilog(parser: argparse.ArgumentParser) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """Lines of examples, exit statuses with their meanings, and other paragraphs."""
    examples: list[str] = []
    statuses: list[tuple[str, str]] = []
    rest = []
    text = (parser.epilog or "").replace("%(prog)s", parser.prog)
    for block in re.split(r"\n\s*\n", text.strip()):
        if block.startswith("examples:"):
            examples = textwrap.dedent(block.partition("\n")[2]).splitlines()
        elif block.startswith("exit status:"):
            meanings = " ".join(block.removeprefix("exit status:").split())
            statuses = [
                (code, meaning) for code, _, meaning in (part.partition(" ") for part in _statuses(meanings))
            ]
        elif block:
            rest.append(block)
    return examples, statuses, rest


def _statuses(text: str) -> list[str]:
    """`0 done, 1 refused (why, is on stderr)`: split at the commas before numbers."""
    return re.split(r", (?=\d+ )", text)
