from hypothesis import given
from hypothesis import strategies as st

from network_mapper.export.labels import Labels, clean
from network_mapper.model import Ambiguous, Edge, External, Service, Workload

ANY = st.text(alphabet=st.characters(), max_size=20)


@given(ANY)
def test_nothing_that_a_terminal_acts_on_passes(name):
    assert clean(name).isprintable()
    if name.isprintable():
        assert clean(name) == name


@given(ANY, ANY)
def test_every_peer_has_a_name_on_one_line(name, namespace):
    workload = Workload(name, namespace, "Pod")
    labels = Labels([Edge(workload, External(name), None, 0, "")], {workload: name})
    for peer in (workload, Service(name, namespace), External(name), Ambiguous((workload,))):
        for text in (labels.sentence(peer, client=True), labels.cell(peer, client=True)):
            assert text
            assert text.isprintable()


def test_a_namespace_goes_without_saying_at_home():
    labels, redis = Labels([]), Workload("redis", "db", "StatefulSet")
    assert labels.sentence(redis, "db") == "redis"
    assert labels.sentence(redis, "shop") == "redis in namespace db"
    assert labels.cell(redis) == "db/redis"


def test_a_twin_without_a_kind_says_that_it_has_none():
    job, unknown = Workload("api", "shop", "CronJob"), Workload("api", "shop", "")
    labels = Labels([Edge(job, unknown, None, 0, "")])
    assert (labels.sentence(job, "shop"), labels.sentence(unknown, "shop")) == ("api (CronJob)", "api (no kind)")


def test_the_tag_stands_behind_the_name_of_a_client_alone():
    cart = Workload("cart", "shop", "Deployment")
    labels = Labels([], {cart: "team=web"})
    assert labels.cell(cart, client=True) == "shop/cart [team=web]"
    assert labels.cell(cart) == "shop/cart"
