"""What there is to read, as the driver sees it: Kafka's offsets, the job's topics, where to begin, the next batch."""
