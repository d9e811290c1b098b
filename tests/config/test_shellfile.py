"""Assignments as a shell would read them, without the shell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vio4wd.config.shellfile import read_assignments


def only(text):
    """The words of a text that is one good assignment."""
    assignments, problems = read_assignments(text)
    assert not problems
    (assignment,) = assignments
    assert assignment.name == "X"
    return assignment.words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("X=1", ("1",)),
        ("X=", ()),
        ("X=   # nothing", ()),
        ('X=""', ("",)),
        ("  export X=1", ("1",)),
        ("X=1 # one", ("1",)),
        ("X=a#b", ("a#b",)),
        ("X=1, 2", ("1, 2",)),
        ("X='a b'\"c d\"e", ("a bc de",)),
        (r"X=a\ b\#c", ("a b#c",)),
        (r'X="say \"hi\" \\ \n"', (r'say "hi" \ \n',)),
        ("X='$HOME `id`'", ("$HOME `id`",)),
        ("X=(a b)", ("a", "b")),
        ("X=( 'a b' c ) # two", ("a b", "c")),
        ("X=(\n  a=1  # first\n  b=2\n)", ("a=1", "b=2")),
        ("X=()", ()),
        ("X='a\nb'", ("a\nb",)),
    ],
)
def test_values_a_shell_would_make(text, words):
    assert only(text) == words


@pytest.mark.parametrize(
    ("text", "line", "about"),
    [
        ("X", 1, "not variable=value"),
        ("X = 1", 1, "not variable=value"),
        ("rm -rf /", 1, "not variable=value"),
        ("X+=1", 1, "+="),
        ("X=$Y", 1, "'$'"),
        ('X="`id`"', 1, "'`'"),
        ("\nX='a", 2, "without its partner"),
        ('\nX="a', 2, "without its partner"),
        ("# c\n\nX=(a\nb", 3, "no closing parenthesis"),
        ("X=(a) b", 1, "after the closing parenthesis"),
    ],
)
def test_what_is_no_assignment_is_told_with_its_line(text, line, about):
    assignments, (problem,) = read_assignments(text)
    assert not assignments
    assert problem.line == line
    assert about in problem.message


def test_an_open_quote_does_not_swallow_the_assignments_behind_it():
    assignments, problems = read_assignments("A='open\nB=2\nC=(open\nD=4\n")
    assert [(assignment.name, assignment.line) for assignment in assignments] == [("B", 2), ("D", 4)]
    assert [problem.line for problem in problems] == [1, 3]


def test_lines_are_counted_through_arrays():
    assignments, _ = read_assignments("A=(1\n2\n3)\nB=1\n")
    assert [assignment.line for assignment in assignments] == [1, 4]
    assert [assignment.is_array for assignment in assignments] == [True, False]


@given(st.text(alphabet="AX='\"()\\#$` \n\tb1", max_size=60))
def test_any_text_is_read_or_refused(text):
    assignments, problems = read_assignments(text)
    lines = text.splitlines()
    for item in (*assignments, *problems):
        assert 1 <= item.line <= len(lines)
