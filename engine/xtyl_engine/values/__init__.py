"""What jobs take and give: plain JSON, stored files, packed functions, and the text of an error.

Every room may use these modules. They know no workflow, no database and no worker.
"""

__all__ = ["artifacts", "error_text", "functions", "images", "plain"]
