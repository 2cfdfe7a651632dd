"""What was consumed, what may be next, and how that is kept.  No Spark and no Kafka client in here."""
