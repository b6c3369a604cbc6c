"""JSON Schemas of structured answers: read from a class or a mapping, told to a model in words, and held against its answer.

`reading` takes a schema or says why it cannot be used, `fields` says what an answer will have, `answers` reads one, `words`
tells a model what is wanted. A schema here is a plain mapping without references.
"""

__all__ = ["answers", "fields", "reading", "words"]
