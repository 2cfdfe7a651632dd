"""Moving a register's offsets by hand: what is asked, what it would do, and doing it by the commit protocol.

asking (options), times and files (their values), choosing (looks at Kafka), preview (a dry run), refusals (what speaks
against it), executing, doubled (files that stand twice then), output (table, JSON, CSV), exporting; values: what
passes between them.
"""
