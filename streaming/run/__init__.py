"""One run of a job on the driver, from the lock to the exit status: batch after batch, committed or not at all."""
