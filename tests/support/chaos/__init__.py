"""The fault harness: a run in a place that is harmed, what was seen of it, and a judge of that."""
