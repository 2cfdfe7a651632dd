"""Things that put records into Kafka, for demonstrations and tests.  Imports nothing else of this project."""
