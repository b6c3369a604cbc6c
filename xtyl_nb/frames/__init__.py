"""DataFrames: reads inputs from the user's frame, and returns results as frames on the same index. Only this room imports pandas.

Other rooms use `inputs` and `results`.
"""

__all__ = ["dtypes", "inputs", "result_frame", "results"]
