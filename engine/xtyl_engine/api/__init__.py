"""HTTP: the routes of the interface, the service behind them, tokens, uploads and live streams. The home of FastAPI and uvicorn.

Only what serves HTTP enters here: by `serve`, and by `tokens` for who may use it.
"""

__all__ = ["serve", "tokens"]
