"""What `streaming.kafka_utils` is made of: ranges, RDDs and DStreams of Kafka's records for programs of the user's."""
