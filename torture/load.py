"""The load of a campaign: all flows by name, and what must hold of some of their nodes while they run."""

from __future__ import annotations

from torture import flows, others
from torture.flows import QUEUE_LIMIT, TILE_LIMIT, Flow

FLOWS = {
    flow.workflow.name: flow
    for flow in (
        Flow(flows.steady, flows.steady_fate, 0),
        Flow(flows.chain, flows.chain_fate, 3),
        Flow(flows.mosaic, flows.mosaic_fate, 3),
        Flow(flows.tally, flows.tally_fate, 2),
        Flow(flows.pack, flows.pack_fate, 2),
        Flow(flows.family, flows.family_fate, 2),
        Flow(flows.moods, flows.moods_fate, 2),
        Flow(flows.slow, flows.slow_fate),
        Flow(flows.doomed, flows.doomed_fate),
        Flow(flows.dropped, flows.dropped_fate, 2),
        Flow(others.nested, others.nested_fate, 2),
        Flow(others.asked, others.asked_fate, 2),
        Flow(others.barred, others.barred_fate),
        Flow(others.ticking, others.ticking_fate),
    )
}
SERIAL = {"count": "tile", "book": "", "told": ""}  #: nodes that take one task of a key at a time
LIMITED = {"tile": TILE_LIMIT, "total": QUEUE_LIMIT}  #: nodes of which so many run at once
