"""The one error that is the user's to mend: a message without a traceback, naming file, key or value and what is allowed."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input, a missing file, an impossible request. The message says what to do about it."""


def one_of(choices: Iterable[str], wrong: str = "") -> str:
    """`allowed: a, b, c`, led by the nearest choice where `wrong` looks like a slip of the pen."""
    names = sorted(choices)
    near = difflib.get_close_matches(wrong, names, n=1) if wrong else []
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}allowed: {', '.join(names) or 'nothing'}"
