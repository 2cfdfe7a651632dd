"""Whether a sink holds exactly what its batch log and its register say.  Reads only; takes no lock; changes nothing.

The parts: tiling (pure: the log by itself), files (pure: the log against a listing), registers (pure: the log against
the register), reading (the looks), verify (their order, which makes it right beside a live run), output (table, JSON).
"""
