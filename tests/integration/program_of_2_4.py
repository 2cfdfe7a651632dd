"""A word count as it was written for PySpark 2.4, which keeps its offsets with its results; a test changes the import.

`program_of_2_4.py BROKERS TOPIC RESULTS END` appends a line of JSON for each batch to RESULTS, until file END is there.
"""

import json
import os
import sys

from pyspark import SparkContext
from pyspark.streaming import StreamingContext
from pyspark.streaming.kafka import KafkaUtils, TopicAndPartition


def kept_offsets(results, topic):
    """Where the last batch ended, by partition; nothing before the first one."""
    if not os.path.exists(results):
        return None
    with open(results) as lines:
        last = json.loads(lines.readlines()[-1])
    return {TopicAndPartition(topic, p): until for p, _, until in last["offsets"]}


class WordCount:
    def __init__(self, results):
        self.results = results

    def save(self, time, rdd):
        counts = rdd.map(lambda kv: kv[1]).flatMap(lambda line: line.split(" ")).map(lambda word: (word, 1))
        batch = {
            "offsets": [[o.partition, o.fromOffset, o.untilOffset] for o in rdd.offsetRanges()],
            "counts": dict(counts.reduceByKey(lambda a, b: a + b).collect()),
            "time": str(time),
        }
        with open(self.results, "a") as lines:
            print(json.dumps(batch), file=lines)


def main(brokers, topic, results, end):
    sc = SparkContext(appName="PythonStreamingDirectKafkaWordCount")
    ssc = StreamingContext(sc, 1)
    kafkaParams = {"metadata.broker.list": brokers, "auto.offset.reset": "smallest", "zookeeper.connect": "z:2181"}
    kvs = KafkaUtils.createDirectStream(ssc, [topic], kafkaParams, fromOffsets=kept_offsets(results, topic))
    count = WordCount(results)
    kvs.foreachRDD(lambda time, rdd: count.save(time, rdd))
    kvs.count().pprint()
    ssc.start()
    while not os.path.exists(end):
        ssc.awaitTerminationOrTimeout(1)
    ssc.stop(stopSparkContext=True, stopGraceFully=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
