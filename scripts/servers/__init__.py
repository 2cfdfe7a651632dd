"""Real Kafka, ZooKeeper and HDFS on loopback, for tests, the demo and trying things out.  Not installed; Linux only."""
