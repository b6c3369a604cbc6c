"""A module beside the notebook, as a user would have one: only the notebook's process can import it."""

SIGN = "!"


def shout(text: str) -> str:
    """Upper case with a sign."""
    return text.upper() + SIGN
