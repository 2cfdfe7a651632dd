"""Moving a register's offsets by hand: what is asked, what it would do, and doing it by the commit protocol."""
