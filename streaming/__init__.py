"""A direct Kafka stream on Spark DStreams, one batch at a time.  Imports `offsets`, never `scripts`."""

DISTRIBUTION = "kafka-direct-streaming"  # streaming.run.ownership tells by it whether this package is ours
