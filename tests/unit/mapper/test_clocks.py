"""How far nodes' clocks are ahead, as their reports prove it, and how the index is asked where clocks differ."""

import pytest
from kube import apply, decoded, instant, node, pod

from network_mapper.cluster.index import Claim, Contested, Index
from network_mapper.mapper import clocks, views
from network_mapper.mapper.clocks import STEP, UNSURE, Clocks
from network_mapper.mapper.coverage import SKEW


def heard(*proofs, node="a"):
    made = Clocks()
    for proof in proofs:
        made.hear(node, proof)
    return made


def test_a_clock_of_which_nothing_is_proved_agrees():
    agreeing = heard(0, 0)
    assert (agreeing.ahead("a"), agreeing.unsure("a"), agreeing.offsets(), agreeing.differ) == (0, 0, (0,), False)


@pytest.mark.parametrize("proof", [5_000, -5_000])
def test_the_first_proof_is_believed(proof):
    differing = Clocks()
    assert differing.hear("a", proof)
    assert (differing.ahead("a"), differing.unsure("a"), differing.ahead("b")) == (proof, UNSURE, 0)
    assert (differing.offsets(), differing.differ) == ((0, proof), True)


@pytest.mark.parametrize("sign", [1, -1])
def test_of_a_few_proofs_the_one_that_shows_most_is_believed(sign):
    assert heard(sign * 3_000, sign * 5_000, 0, sign * 4_000).ahead("a") == sign * 5_000


def test_a_proof_is_forgotten_after_five_reports():
    differing = heard(5_000, 3_000, 3_000, 3_000, 3_000)
    assert differing.ahead("a") == 5_000
    assert differing.hear("a", 3_000)
    assert differing.ahead("a") == 3_000


def test_a_clock_that_agrees_again_is_forgotten():
    differing = heard(5_000)
    assert [differing.hear("a", 0) for _ in range(5)] == [False] * 4 + [True]
    assert (differing.ahead("a"), differing.offsets(), differing.differ) == (0, (0,), False)
    assert not differing._proofs


@pytest.mark.parametrize("later", [-200, 20_000, 0])
def test_a_clock_that_was_set_is_believed_anew_at_once(later):
    assert heard(200_000, later).ahead("a") == later


def test_a_wild_clock_is_believed_within_bounds():
    assert heard(2**53).ahead("a") == SKEW
    assert heard(-(2**53)).ahead("a") == -SKEW


def test_what_an_exchange_cannot_tell_is_no_difference():
    assert heard(STEP - 1).ahead("a") == 0
    assert heard(1 - STEP).ahead("a") == 0
    assert heard(STEP).ahead("a") == STEP


def test_an_estimate_stays_while_a_better_one_is_near():
    differing = heard(5_000)
    assert not differing.hear("a", 5_000 + STEP - 1)
    assert differing.ahead("a") == 5_000
    assert differing.hear("a", 5_000 + STEP)
    assert differing.ahead("a") == 5_000 + STEP


def test_no_more_clocks_are_kept_than_allowed(monkeypatch):
    monkeypatch.setattr(clocks, "_MOST", 2)
    many = Clocks()
    for name in "abc":
        many.hear(name, 5_000)
    assert [many.ahead(name) for name in "abc"] == [0, 5_000, 5_000]


class TestViews:
    """`x` had the address on node n1 from second 10 to 20, `y` from 30 on, by n1's clock."""

    ADDRESS = "10.0.0.1"

    @pytest.fixture
    def index(self):
        index = Index("cluster.local")
        apply(index, node("n1", "192.168.0.1"), node("n2", "192.168.0.2"))
        apply(index, pod("x", self.ADDRESS, start=10, ended=20), pod("y", self.ADDRESS, start=30))
        return index

    @staticmethod
    def seen_from(index, reporter, **ahead):
        differing = Clocks()
        for name, by in ahead.items():
            differing.hear(name, by)
        return views.corrected(index, differing, reporter)

    @staticmethod
    def names(answer):
        owners = answer.owners if isinstance(answer, Contested) else [answer.owner] if answer else []
        return {owner.name for owner in owners}

    @pytest.mark.parametrize("reporter", ["n1", "n2"])
    @pytest.mark.parametrize(("second", "names"), [(15, set()), (55, {"x"}), (70, set()), (80, {"y"})])
    def test_a_pods_times_are_those_of_its_nodes_clock(self, index, reporter, second, names):
        behind = self.seen_from(index, reporter, n1=-45_000)
        assert self.names(behind.at(self.ADDRESS, instant(second))) == names
        assert self.names(behind.dialled(self.ADDRESS, 80, "tcp", instant(second))) == names

    def test_another_clock_than_the_owners_changes_nothing(self, index):
        for second, names in ((5, set()), (15, {"x"}), (25, set()), (35, {"y"})):
            found = self.seen_from(index, "n1", n2=45_000).at(self.ADDRESS, instant(second))
            assert self.names(found) == names

    def test_spans_are_told_on_the_mappers_clock(self, index):
        found = self.seen_from(index, "n1", n1=-10_000).at(self.ADDRESS, instant(25))
        assert (found.start, found.end) == (instant(20), instant(31))

    def test_where_clocks_agree_the_view_is_the_index(self, index):
        plain = views.plain(index)
        assert isinstance(plain.at(self.ADDRESS, instant(15)), Claim)
        assert plain.at == index.at
        assert plain.dialled == index.dialled

    def test_who_holds_an_address_for_ever_does_so_on_every_clock(self, index):
        for by in (-45_000, 45_000):
            found = self.seen_from(index, "n1", n1=by).at(self.ADDRESS, views.FOREVER - 1)
            assert (self.names(found), found.end) == ({"y"}, views.FOREVER)

    def test_near_a_change_another_nodes_clock_leaves_both_owners_possible(self):
        index = Index("cluster.local")
        first, second = pod("x", self.ADDRESS, start=10, ended=20), pod("y", self.ADDRESS, start=21)
        apply(index, node("n1", "192.168.0.1"), first, second)
        change = instant(21)
        from_afar, at_home = (self.seen_from(index, name, n1=-10_000) for name in ("n2", "n1"))
        moments = [change + 10_000 + by for by in (-UNSURE - 1, -UNSURE, UNSURE - 1, UNSURE)]
        assert [self.names(from_afar.at(self.ADDRESS, moment)) for moment in moments] == [
            {"x"}, {"x", "y"}, {"x", "y"}, {"y"}]  # fmt: skip
        assert [self.names(at_home.at(self.ADDRESS, change + 10_000 + by)) for by in (-1, 0)] == [{"x"}, {"y"}]

    def test_services_and_nodes_are_on_the_mappers_clock(self, index):
        item = node("n3", "192.168.0.3")
        item["metadata"]["creationTimestamp"] = "2026-01-01T00:00:30Z"
        index.apply("Node", decoded(item))
        view = self.seen_from(index, "n3", n3=10_000)
        assert [self.names(view.at("192.168.0.3", instant(second))) for second in (29, 30)] == [set(), {"n3"}]
