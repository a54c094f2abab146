"""Three of ten answers to sniffers are lost after the mapper took the report: every connection still counts once."""

from __future__ import annotations

import time
import uuid

import pytest
from harness import balance
from harness.answers import LostAnswers
from harness.door import MapperDoor
from harness.network import GATEWAY
from harness.release import Release
from harness.town import View
from harness.traffic import Traffic, wrong

pytestmark = pytest.mark.timeout(240)

SHARE = 0.3
SECONDS = 30.0
SETTLING = 75.0


@pytest.fixture(scope="module")
def proxy():
    """Between the sniffers and the mapper, in the network of the nodes."""
    with LostAnswers(GATEWAY[0]) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def view(cluster, product, town, proxy):
    """The product with the proxy between its parts."""
    settings = {"repeatInterval": 1}
    values = {"sniffer": {"healthPort": 19605, "mapperUrl": proxy.url, "settings": settings}}
    with Release(cluster, f"answers-{uuid.uuid4().hex[:8]}", values) as release:
        proxy.upstream = MapperDoor.of(release).url
        release.wait_ready()
        view = View(release, town)
        view.wait_watched({})
        yield view


def test_every_connection_counts_once_where_answers_are_lost(town, view, proxy):
    with Traffic(town) as traffic:
        before, proxy.share = proxy.delivered, SHARE
        try:
            traffic.run(SECONDS)
            time.sleep(2)  # what came last is reported while answers are still lost
        finally:
            proxy.share, delivered = 0.0, proxy.delivered - before
        events = traffic.events()
    view.wait_until_none(lambda: wrong(events, view.map().edges, [], town.namespace), SETTLING)
    assert proxy.lost >= 10
    assert proxy.lost >= 0.2 * delivered
    assert not traffic.failed
    status = view.status()
    repeated = {row.unit: row.dropped.get("report_repeated", 0) for row in status.accounting if row.hop == "intake"}
    assert repeated.get("reports", 0) >= proxy.lost / 2  # the sniffers did send them again
    view.wait_until_none(lambda: balance.unbalanced(view.status()) + balance.torn(view.status()), 10)
    assert balance.lost(status) == {}
    assert [window for window in view.map().completeness.blind if window.node] == []
