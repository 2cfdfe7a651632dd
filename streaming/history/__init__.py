"""What became of a job's register, for offset_history.py, and the undo of its last reset.

gathering (looks at the store), logged (at the sink), output (table, JSON, CSV), undo (or what would do in its place).
"""
