"""The fault harness: a run in a place that faults harm, the record of that run, and a judge of the record."""
