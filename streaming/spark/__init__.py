"""Spark itself: its configuration, the DStream, the code that is shipped, and the JVM beside us.  Knows no batch."""
