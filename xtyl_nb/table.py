"""Where frames that were pickled look for ResultFrame; it stands in `frames`."""

from xtyl_nb.frames.result_frame import ResultFrame

__all__ = ["ResultFrame"]
