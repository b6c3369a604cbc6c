"""The HTTP API: `service` and `reader` over HTTP, behind tokens. The home of FastAPI and uvicorn, which only who serves it
needs.
"""
