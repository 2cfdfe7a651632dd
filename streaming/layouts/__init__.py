"""Folders of rows: sink.path.format, event times, and both for whole Arrow tables."""
