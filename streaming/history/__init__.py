"""What became of a job's register, for offset_history.py, and the undo of its last reset.

gathering (looks at store and sink), output (table, JSON, CSV), undo (what an undo restores, or what would do instead).
"""
