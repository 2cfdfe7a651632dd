"""What executors run: one task a range, what it reports, and how its errors and times reach the driver."""
