"""HTTP: the routes of the interface, the service behind them, tokens, uploads and live streams. The home of FastAPI and uvicorn.

Other rooms use `serve`, which serves it, and `tokens`, which makes the tokens that it takes.
"""

__all__ = ["serve", "tokens"]
