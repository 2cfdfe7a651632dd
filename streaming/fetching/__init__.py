"""Reading one OffsetRange on an executor: `ranges`, with either client as its source."""
