"""The revision of the schema with which this release works. It stands alone, so that reading it loads nothing."""

HEAD = "0012"
