"""Man pages and completion say what the parsers and the table say, and their readers understand them."""

import importlib.metadata
import re
import subprocess

import pytest

from vio4wd.config.table import OPTIONS
from vio4wd.manual import roff
from vio4wd.manual.__main__ import documents
from vio4wd.manual.commands import commands

DOCUMENTS = documents()
COMMANDS = {command.name: command for command in commands()}
PAGES = sorted(name for name in DOCUMENTS if name.startswith("man/"))


def plain(name):
    """A page without its formatting."""
    text = re.sub(r"\\f[BIR]|\\&", "", DOCUMENTS[name])
    return text.replace("\\-", "-").replace("\\(aq", "'")


def test_every_installed_command_has_a_page_and_completion():
    scripts = importlib.metadata.distribution("vio4wd").entry_points.select(group="console_scripts")
    assert set(scripts.names) == COMMANDS.keys()
    for name in scripts.names:
        assert f"man/man8/{name}.8" in DOCUMENTS
        assert f"bash-completion/completions/{name}" in DOCUMENTS
    assert COMMANDS["virtio-forwarder"].alias == "vio4wd-master"
    assert DOCUMENTS["man/man8/virtio-forwarder.8"] == ".so man8/vio4wd-master.8\n"


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if not command.alias])
def test_a_page_has_every_option(name):
    text = plain(f"man/man8/{name}.8")
    for action in COMMANDS[name].parser._actions:
        assert all(re.search(rf"^.*{re.escape(flag)}\b", text, re.M) for flag in action.option_strings)
    sections = re.findall(r"^\.SH (.*)", text, re.M)
    assert sections[:4] == ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"]
    assert sections[-1] == "SEE ALSO"
    assert "%(" not in text


def test_examples_are_commands_that_the_parser_takes():
    text = plain("man/man8/virtioforwarder_port_control.py.8")
    lines = text.partition(".nf\n")[2].partition(".fi\n")[0].splitlines()
    assert len(lines) == 7
    for line in lines:
        program, *arguments = line.split()
        COMMANDS[program].parser.parse_args(arguments)


def test_exit_statuses_are_a_list():
    text = plain("man/man8/virtioforwarder_port_control.py.8")
    assert ".SH EXIT STATUS\n.TP\n0\ndone\n.TP\n1\nrefused or no answer (the reason is on stderr)\n" in text


def test_the_daemons_page_has_what_a_parser_cannot_tell():
    text = plain("man/man8/vio4wd-master.8")
    assert all(f".SH {section}\n" in text for section in ("EXIT STATUS", "SIGNALS", "FILES"))
    assert "SIGHUP" in text


def test_every_variable_is_in_the_page_of_the_file():
    text = plain("man/man5/virtioforwarder.5")
    assert all(name in text for option in OPTIONS for name in option.variables)


def test_roff_finds_nothing_wrong(tmp_path):
    for name in PAGES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(DOCUMENTS[name])
    for name in PAGES:
        command = ["groff", "-man", "-ww", "-z", tmp_path / name]
        done = subprocess.run(command, cwd=tmp_path / "man", capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), name


@pytest.mark.parametrize("text", [".TH is no request", "'nor this", "a\\b", "-x", 'say "so"', "a^b~c`d'"])
def test_text_is_printed_as_it_is(text):
    page = roff.title("x", 1, "1") + roff.paragraph(text)
    command = ["groff", "-man", "-Tascii", "-P-c"]
    done = subprocess.run(command, input=page, capture_output=True, text=True, timeout=60, check=True)
    assert text in done.stdout


def complete(name, line):
    """What bash offers for the last word of the line."""
    words = line.split(" ")
    script = f"""
        {DOCUMENTS[f"bash-completion/completions/{name}"]}
        COMP_WORDS=({" ".join(f"'{word}'" for word in words)}); COMP_CWORD={len(words) - 1}
        "$(complete -p -- {name} | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" >&2
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


def test_bash_completes_options_and_operations(tmp_path):
    program = "virtioforwarder_port_control.py"
    assert complete(program, f"{program} add --vi") == ["--virtio-id"]
    assert complete(program, f"{program} rem") == ["remove", "remove_sock"]
    assert complete("vio4wd-bind", "vio4wd-bind li") == ["list"]
    assert "--zmq-stats-ep" in complete("virtio-forwarder", "virtio-forwarder --zmq")


def test_bash_completes_files_where_files_are_meant(tmp_path):
    (tmp_path / "some.conf").touch()
    for name in ("vio4wd-master", "vio4wd_core_scheduler"):
        assert complete(name, f"{name} --config {tmp_path}/so") == [f"{tmp_path}/some.conf"]
