"""Functions for job files that come with the project; `[job] function = streaming.jobs.transactions:parse`."""
