"""How a job stands, for show_offsets.py: offsets, lag, who runs it, whether it is paused, when it last did well.

Reads only; takes no lock.  values (pure), looks (at store, Kafka and sink), output (table, JSON, CSV).
"""
