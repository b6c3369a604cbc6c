"""How large things may be. Each limit is checked where the thing comes in, with an error of its own. Limits that one room alone
asks for stand there: of HTTP requests in `api/bodies`, of HTTP answers in `queries/pages`.
"""

MAX_NODES = 10_000
MAX_EDGES = 100_000
MAX_ROWS = 100_000
MAX_ITEMS = 5_000
MAX_ID_LENGTH = 64
MAX_NAME_LENGTH = 200
MAX_COMMENT_LENGTH = 10_000
MAX_INLINE_OUTPUT_BYTES = 256 * 1024
MAX_PROMPT_BYTES = 1024 * 1024
MAX_EVENT_BYTES = 64 * 1024
MAX_VALUE_DEPTH = 64
MAX_VALUE_PARTS = 1_000_000
MAX_IMAGE_PIXELS = 50_000_000
MAX_IMAGE_BYTES = 25 * 1024 * 1024
# Of US dollars: one in whole 1e-9 dollars, and less than a column holds of them.
LEAST_BUDGET = 1e-9
MAX_BUDGET = 1_000_000
MAX_FUNCTION_BYTES = 10 * 1024 * 1024
