"""The error for user input. Its message is shown without a traceback and names the file or key, the value and what is allowed."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Invalid input or a missing file. The message says how to fix it."""


def one_of(choices: Iterable[str], wrong: str = "") -> str:
    """`allowed: a, b, c`, after `did you mean 'a'?` where `wrong` is similar to a choice."""
    names = sorted(choices)
    near = difflib.get_close_matches(wrong, names, n=1) if wrong else []
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}allowed: {', '.join(names) or 'nothing'}"
