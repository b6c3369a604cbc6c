"""All that an error tells: its own words and those of every error that it carries along, shown or not."""

from __future__ import annotations

import traceback


def told(error: BaseException) -> str:
    """The words, arguments and data of an error, its causes and its contexts, and the traceback that Python would print."""
    parts, waiting, seen = traceback.format_exception(error), [error], set()
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            parts += [str(each), repr(each), repr(each.args), repr(getattr(each, "data", None))]
            waiting += [other for other in (each.__cause__, each.__context__) if other is not None]
    return "\n".join(parts)
