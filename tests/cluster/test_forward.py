"""The shipped command line, from a kubeconfig through a real API server and the kubelet's port-forward to a mapper."""

import json

import pytest
from harness.command_line import FORWARD, LIST_PODS, PROXY, READ_SERVICES, SEARCH, run

from network_mapper.cli.sources.base import Connection
from network_mapper.cli.sources.cluster import open_mapper
from network_mapper.cli.sources.open import open_source
from network_mapper.kube.config import in_cluster

pytestmark = pytest.mark.cluster


def named(installed):
    return "--mapper-namespace", installed.place, "--mapper-service-name", installed.service


def listed(installed):
    return f"client in namespace {installed.place} calls:\n  - server\n"


# What works


def test_the_mapper_is_found_and_asked_with_nothing_but_a_kubeconfig(installed, admin_config):
    done = run("list", "--kubeconfig", admin_config)
    assert (done.stdout, done.stderr) == (listed(installed), "")


def test_the_environment_names_the_kubeconfig(installed, admin_config):
    assert run("list", KUBECONFIG=str(admin_config)).stdout == listed(installed)


def test_status_tells_by_which_way_it_came(installed, admin_config):
    assert (
        f"at service {installed.place}/network-mapper of context tests\n"
        in run("status", "--kubeconfig", admin_config).stdout
    )


def test_reset_empties_the_map_through_a_forward(installed, admin_config):
    before = json.loads(run("status", "-o", "json", "--kubeconfig", admin_config).stdout)
    run("reset", "--yes", "--kubeconfig", admin_config)
    after = json.loads(run("status", "-o", "json", "--kubeconfig", admin_config).stdout)
    installed.see()
    assert (before["edges"], after["edges"], after["epoch"]) == (1, 0, before["epoch"] + 1)


def test_two_verbs_on_port_forwards_and_two_lists_are_all_it_takes(installed, account):
    assert run("list", "--kubeconfig", account(FORWARD, SEARCH)).stdout == listed(installed)


def test_who_names_the_service_needs_no_list_of_services(installed, account):
    config = account(FORWARD, READ_SERVICES, LIST_PODS, wide=False)
    assert run("list", "--kubeconfig", config, *named(installed)).stdout == listed(installed)


def test_where_services_may_not_be_listed_the_usual_namespaces_are_searched(installed, account):
    config = account(FORWARD, SEARCH, wide=False)
    settings = json.loads(config.read_text())
    settings["contexts"][0]["context"]["namespace"] = installed.place.namespace
    config.write_text(json.dumps(settings))
    assert run("list", "--kubeconfig", config).stdout == listed(installed)


def test_where_port_forwards_are_forbidden_the_service_proxy_is_asked(installed, account):
    installed.wait_endpoints()
    done = run("list", "--debug", "--kubeconfig", account(SEARCH, PROXY))
    assert done.stdout == listed(installed)
    assert 'cannot get resource "pods/portforward"' in done.stderr
    assert "using the API server's service proxy" in done.stderr


def test_where_something_in_between_knows_no_upgrades_the_service_proxy_is_asked(installed, account, proxy):
    installed.wait_endpoints()
    done = run("list", "--debug", "--kubeconfig", account(SEARCH, FORWARD, PROXY, server=proxy.url))
    assert done.stdout == listed(installed)
    assert "Upgrade request required" in done.stderr


def test_a_change_goes_through_the_service_proxy_too(installed, account):
    installed.wait_endpoints()
    config = account(SEARCH, PROXY)
    run("reset", "--yes", "--kubeconfig", config)
    status = json.loads(run("status", "-o", "json", "--kubeconfig", config).stdout)
    installed.see()
    assert status["edges"] == 0


def test_the_pods_own_port_can_be_named(installed, admin_config):
    assert run("list", "--kubeconfig", admin_config, "--mapper-service-port", installed.port).stdout == listed(
        installed
    )


def test_the_models_service_is_found_by_its_name(installed, admin_config, places):
    place = places.new()
    installed.run_pod("model-1", place=place, app="otterize-network-mapper")
    place.service("otterize-network-mapper", port=9090, target=installed.port)
    done = run("list", "--kubeconfig", admin_config, "--mapper-namespace", place)
    installed.place.plane.remove_namespace(place.namespace)
    assert done.stdout == listed(installed)


def test_the_account_of_a_pod_leads_to_the_services_address(installed, control_plane, tmp_path):
    place = installed.place
    control_plane.service_account(place.namespace, "inside", [SEARCH])
    folder = control_plane.account_folder(tmp_path / "account", place.namespace, "inside")
    host, port = control_plane.url.removeprefix("https://").split(":")
    access = in_cluster({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}, folder)
    client, where = open_mapper(access, Connection())
    address = place.api.get("services", place.namespace, installed.service)["spec"]["clusterIP"]
    assert (client.url, where) == (f"http://{address}:80", f"service {place}/network-mapper of this cluster")


# What ends and goes on


@pytest.fixture
def source(installed, admin_config):
    with open_source(Connection(kubeconfig=str(admin_config))) as source:
        yield source


def edges(source):
    return len(source.map().edges)


def test_a_forward_that_ended_is_opened_anew(source, kubelet):
    assert edges(source) == 1
    kubelet.stop()
    kubelet.start()
    assert edges(source) == 1


def test_a_mapper_that_was_restarted_is_asked_again(source, installed):
    assert edges(source) == 1
    installed.process.stop()
    installed.process.start().wait_ready()
    assert edges(source) == 1


def test_where_the_kubelet_cannot_be_reached_the_service_proxy_is_asked(source, installed, kubelet):
    installed.wait_endpoints()
    assert edges(source) == 1
    kubelet.stop()
    try:
        assert edges(source) == 1
    finally:
        kubelet.start()
