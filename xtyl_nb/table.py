"""The former module of ResultFrame, kept for frames that were pickled with its name; the class is in `frames.result_frame`."""

from xtyl_nb.frames.result_frame import ResultFrame

__all__ = ["ResultFrame"]
