"""Kafka's topics as the driver sees them, where to begin and what comes next; client properties, executors' too."""
