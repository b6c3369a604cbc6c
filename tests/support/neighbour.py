"""A module beside the notebook, as users have them: only the notebook's process can import it."""

SIGN = "!"


def shout(text: str) -> str:
    """Upper case, with a sign after it."""
    return text.upper() + SIGN
