"""The job file: every setting as one table, how their text is read, and the frozen JobConfig they make."""
