"""What is read and never written: executions, jobs, overviews, pages, a job's inputs, cached results, forecasts.

Others may use every module; the values they return are in `views`, and `wire` turns those to JSON and back.
"""

__all__ = [
    "cursors",
    "executions",
    "files",
    "forecast",
    "job_detail",
    "job_inputs",
    "overview",
    "pages",
    "result_cache",
    "views",
    "wire",
]
