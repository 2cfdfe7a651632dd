"""Going on behind what Kafka has lost (source.onDataLoss = skip), and the record of it in the sink.  Driver only.

The register first, then the sink: a register that names losses says that their record may still be missing, so every
launch repeats it before anything else is written.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from offsets.manager import OffsetManager
from offsets.planning import Plan
from offsets.structs import GIVEN_UP, LossRecord, TopicState
from streaming.sinks.file import StagedFileSink
from streaming.sinks.losses import record_losses

SKIP = "skip"  # of source.onDataLoss
log = logging.getLogger(__name__)


@dataclass
class LossKeeper:
    """Skips for one driver, which owns `manager`.  `records`: what it has written down, the oldest first."""

    manager: OffsetManager
    sink: StagedFileSink
    records: list[LossRecord] = field(default_factory=list)

    def skip(self, planned: Plan) -> Mapping[str, TopicState]:
        """Begins the generation behind `planned.losses`; its topics.  Only while no batch is pending."""
        self.manager.skip(planned.topics, planned.losses)
        self.write_down()
        return self.manager.state.topics

    def write_down(self) -> None:
        """The losses that the register names, unless their record is there.  RegisterError if another one is."""
        state = self.manager.state
        if not state.losses:
            return
        self.sink.log_reset(state)
        is_new = record_losses(self.sink.filesystem, state)
        if is_new and all(loss.kind != GIVEN_UP for loss in state.losses):  # of those a person has been told
            self.records.append(LossRecord(state.app, state.generation, state.losses))
            for loss in state.losses:
                log.warning("data loss: %s, skipped by generation %d", loss, state.generation)
