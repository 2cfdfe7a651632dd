"""What was consumed, what may be next, and how that is kept.  No Spark and no Kafka client in here."""

DISTRIBUTION = "kafka-direct-streaming"  # streaming.run.ownership tells by it whether this package is ours
