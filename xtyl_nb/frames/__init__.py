"""DataFrames: inputs read from one, results given as one, on the index the user came with. The one home of pandas.

Others use `inputs` and `results`.
"""

__all__ = ["dtypes", "inputs", "result_frame", "results"]
