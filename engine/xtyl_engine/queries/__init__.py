"""Reads SQL and never writes: executions, jobs, overviews, pages, a job's inputs, cached results, forecasts.

Other rooms may use every module but `cursors`, which serves `pages`. The values they return are in `views`; `wire`
turns those into JSON and back.
"""

__all__ = [
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
