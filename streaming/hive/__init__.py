"""Tells Hive of tables and partitions, after their batches are committed."""
