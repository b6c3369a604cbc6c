"""DataFrames: reads inputs from the user's frame, and returns results as frames on the same index. Only this room imports pandas.

Other rooms use `inputs`, `plans`, `results` and `tables`; pickled frames name `result_frame`.
"""

__all__ = ["inputs", "plans", "result_frame", "results", "tables"]
