import re
from typing import Annotated, Literal

import msgspec
import pytest

from network_mapper.mapper.settings import MapperSettings
from network_mapper.settings import (
    File,
    LogSettings,
    SettingError,
    host_and_port,
    load,
    seconds,
    setting,
    settings_of,
    without_effect,
)
from network_mapper.sniffer.settings import SnifferSettings, mapper_address

ALL = [
    pytest.param(component, item, id=f"{component.__name__}.{item.field}")
    for component in (MapperSettings, SnifferSettings, LogSettings)
    for item in settings_of(component)
]


class Oven(msgspec.Struct):
    heat: Annotated[int, setting("How hot.", "DEGREES", model="oven-heat"), msgspec.Meta(ge=0, le=300)] = 180
    hours: Annotated[float, setting("How many.", "HOURS")] = 0.5
    rest: Annotated[float, seconds("How long to wait.", model="oven-rest")] = 60.0
    fan: Annotated[bool, setting("Whether air moves.", model="enable-fan")] = True
    guests: Annotated[tuple[str, ...], setting("For whom.", "NAMES", model=("oven-guests", "old-guests"))] = ("ann",)
    mode: Annotated[Literal["top", "bottom"], setting("Which side.")] = "top"
    note: Annotated[str, setting("For the cook.", model="oven-note")] = ""


def test_flag_then_our_variable_then_the_models_then_file_then_default():
    sources = {
        "given": {"heat": "1"},
        "environ": {"NETWORK_MAPPER_HEAT": "2", "OTTERIZE_OVEN_HEAT": "3"},
        "file": File("oven.toml", {"heat": 4}),
    }
    assert load(Oven, **sources).heat == 1
    sources["given"] = {"heat": None}
    assert load(Oven, **sources).heat == 2
    del sources["environ"]["NETWORK_MAPPER_HEAT"]
    assert load(Oven, **sources).heat == 3
    sources["environ"].clear()
    assert load(Oven, **sources).heat == 4
    assert load(Oven, {}, {}).heat == 180


def test_an_empty_variable_is_not_set():
    environ = {"NETWORK_MAPPER_HEAT": "", "OTTERIZE_OVEN_HEAT": "200", "OTTERIZE_ENABLE_FAN": ""}
    assert load(Oven, {}, environ) == Oven(heat=200)


def test_keys_of_the_model_are_asked_in_their_order():
    assert load(Oven, {}, {"OTTERIZE_OLD_GUESTS": "bob"}).guests == ("bob",)
    assert load(Oven, {}, {"OTTERIZE_OLD_GUESTS": "bob", "OTTERIZE_OVEN_GUESTS": "eve"}).guests == ("eve",)


@pytest.mark.parametrize("text", ["a,b c", "a b\tc", " a,, b , c "])
def test_our_lists_are_split_at_commas_and_white_space(text):
    assert load(Oven, {"guests": text}, {}).guests == ("a", "b", "c")
    assert load(Oven, {}, {"NETWORK_MAPPER_GUESTS": text}).guests == ("a", "b", "c")


def test_lists_of_the_model_are_split_at_white_space_only():
    assert load(Oven, {}, {"OTTERIZE_OVEN_GUESTS": "a,b  c"}).guests == ("a,b", "c")


def test_a_list_can_be_emptied():
    assert load(Oven, {"guests": ""}, {}).guests == ()
    assert load(Oven, {}, {"NETWORK_MAPPER_GUESTS": ","}).guests == ()
    assert load(Oven, {}, {}, File("f", {"guests": []})).guests == ()


def test_a_bare_number_is_seconds_for_us_and_nanoseconds_for_the_model():
    assert load(Oven, {}, {"NETWORK_MAPPER_REST": "30"}).rest == 30
    assert load(Oven, {}, {"OTTERIZE_OVEN_REST": "30000000000"}).rest == pytest.approx(30)


@pytest.mark.parametrize("source", [{"NETWORK_MAPPER_REST": "500ms"}, {"OTTERIZE_OVEN_REST": "500ms"}])
def test_a_span_with_a_unit_is_the_same_for_both(source):
    assert load(Oven, {}, source).rest == 0.5


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("YES", True), ("1", True), ("on", True), ("False", False), ("no", False), ("0", False)],
)
def test_our_booleans(text, value):
    assert load(Oven, {}, {"NETWORK_MAPPER_FAN": text}).fan is value


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "True", "TRUE"])
def test_what_the_model_takes_for_true(text, caplog):
    assert load(Oven, {}, {"OTTERIZE_ENABLE_FAN": text}).fan is True
    assert not caplog.records


@pytest.mark.parametrize("text", ["0", "f", "F", "false", "False", "FALSE"])
def test_what_the_model_takes_for_false(text, caplog):
    assert load(Oven, {}, {"OTTERIZE_ENABLE_FAN": text}).fan is False
    assert not caplog.records


@pytest.mark.parametrize("text", ["yes", "on", "tRuE", "2", " true"])
def test_what_is_no_boolean_for_the_model_is_false_and_warned_of(text, caplog):
    assert load(Oven, {}, {"OTTERIZE_ENABLE_FAN": text}).fan is False
    assert "OTTERIZE_ENABLE_FAN" in caplog.text


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"NETWORK_MAPPER_HEAT": "hot"}, "NETWORK_MAPPER_HEAT='hot': a whole number is expected"),
        ({"NETWORK_MAPPER_HEAT": "1.5"}, "NETWORK_MAPPER_HEAT='1.5': a whole number is expected"),
        ({"NETWORK_MAPPER_HEAT": "301"}, "NETWORK_MAPPER_HEAT='301': .*300"),
        ({"OTTERIZE_OVEN_HEAT": "-1"}, "OTTERIZE_OVEN_HEAT='-1': .*0"),
        ({"NETWORK_MAPPER_HOURS": "nan"}, "NETWORK_MAPPER_HOURS='nan': a number is expected"),
        ({"NETWORK_MAPPER_REST": "-5"}, "NETWORK_MAPPER_REST='-5': seconds are expected"),
        ({"OTTERIZE_OVEN_REST": "soon"}, "OTTERIZE_OVEN_REST='soon': seconds are expected"),
        ({"NETWORK_MAPPER_FAN": "maybe"}, "NETWORK_MAPPER_FAN='maybe': true or false is expected"),
        ({"NETWORK_MAPPER_MODE": "left"}, "NETWORK_MAPPER_MODE='left': expected one of top, bottom"),
    ],
)
def test_a_bad_value_is_named_with_what_is_expected(environ, message):
    with pytest.raises(SettingError, match=message):
        load(Oven, {}, environ)


def test_what_kubernetes_sets_for_a_service_is_passed_over():
    environ = {"NETWORK_MAPPER_METRICS_PORT": "tcp://10.96.0.7:2112", "OTTERIZE_METRICS_PORT": "9100"}
    assert load(MapperSettings, {}, environ).metrics_port == "9100"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("9091", ("", 9091)),
        (":9091", ("", 9091)),
        ("127.0.0.1:9091", ("127.0.0.1", 9091)),
        ("[::1]:9091", ("::1", 9091)),
        ("localhost:9091", ("localhost", 9091)),
        ("0", ("", 0)),
        (" 65535 ", ("", 65535)),
    ],
)
def test_a_port_may_be_given_with_the_address_to_listen_on(text, place):
    assert host_and_port(load(SnifferSettings, {"health_port": text}, {}).health_port) == place


@pytest.mark.parametrize(
    "text", ["65536", "-1", "http", "::1:9091", "[::1]", "127.0.0.1", "a b:1", "x:", "9" * 5000, "٩٠٩١"]
)
def test_what_is_no_port_is_refused(text):
    with pytest.raises(SettingError, match="PORT or HOST:PORT is expected"):
        load(SnifferSettings, {}, {"NETWORK_MAPPER_HEALTH_PORT": text})


@pytest.mark.parametrize("value", [9091, "9091", " 9091 "])
def test_a_port_in_a_file_is_a_number_or_text(value):
    assert load(SnifferSettings, {}, {}, File("f", {"health_port": value})).health_port == "9091"


def test_a_port_in_a_file_is_no_boolean():
    with pytest.raises(SettingError, match="PORT or HOST:PORT"):
        load(SnifferSettings, {}, {}, File("f", {"health_port": True}))


@pytest.mark.parametrize(("component", "item"), ALL)
def test_no_variable_of_ours_is_one_that_kubernetes_sets_for_a_service_of_our_name(component, item):
    assert not re.fullmatch(r"NETWORK_MAPPER_(SERVICE_(HOST|PORT.*)|PORT(_.*)?)", item.env)


@pytest.mark.parametrize(("component", "item"), ALL)
def test_every_default_lies_within_its_own_bounds(component, item):
    default = list(item.default) if isinstance(item.default, tuple) else item.default
    assert getattr(load(component, {}, {}, File("f", {item.field: default})), item.field) == item.default


def test_no_two_settings_of_a_command_have_one_name():
    for component in (MapperSettings, SnifferSettings):
        items = [*settings_of(component), *settings_of(LogSettings)]
        names = [name for item in items for name in (item.env, *item.model_env)]
        assert len(names) == len(set(names))


def test_the_environment_that_the_models_chart_gives_its_sniffer():
    environ = {
        "OTTERIZE_MAPPER_API_URL": "http://otterize-network-mapper:9090/query",
        "OTTERIZE_DEBUG": "false",
        "OTTERIZE_HEALTH_PROBES_PORT": "57921",
        "OTTERIZE_USE_EXTENDED_PROCFS_RESOLUTION": "false",
        "OTTERIZE_TELEMETRY_ENABLED": "true",
        "OTTERIZE_NETWORK_MAPPER_SERVICE_HOST": "10.96.1.1",
        "OTTERIZE_NETWORK_MAPPER_PORT_9090_TCP_PROTO": "tcp",
    }
    settings = load(SnifferSettings, {}, environ)
    assert (mapper_address(settings), settings.health_port) == ("http://otterize-network-mapper:9090", "57921")
    assert without_effect(environ, SnifferSettings, LogSettings) == [
        "OTTERIZE_TELEMETRY_ENABLED",
        "OTTERIZE_USE_EXTENDED_PROCFS_RESOLUTION",
    ]


def test_the_environment_that_the_models_chart_gives_its_mapper():
    environ = {
        "OTTERIZE_EXCLUDE_NAMESPACES": "istio-system linkerd kube-system",
        "OTTERIZE_CAPTURE_EXTERNAL_TRAFFIC_ENABLED": "false",
        "OTTERIZE_WORKLOAD_NAME_OVERRIDE_ANNOTATION": "example.com/name",
        "OTTERIZE_CONTROL_PLANE_IPV4_CIDR_PREFIX_LENGTH": "28",
        "OTTERIZE_USE_IMAGE_NAME_FOR_SERVICE_ID_FOR_JOBS": "true",
        "OTTERIZE_CLUSTER_DOMAIN": "corp.example",
        "OTTERIZE_ENABLE_SOCKET_SCANNER": "false",
    }
    assert load(MapperSettings, {}, environ) == MapperSettings(
        excluded_namespaces=("istio-system", "linkerd", "kube-system"),
        capture_external=False,
        workload_name_annotation="example.com/name",
        control_plane_prefix=28,
        image_names_for_jobs=True,
        cluster_domain="corp.example",
        enable_sockets=False,
    )


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://mapper:9090/query", "http://mapper:9090"),
        ("http://mapper:9090/query/", "http://mapper:9090"),
        ("http://mapper:9090", "http://mapper:9090"),
        ("https://host/maps/query", "https://host/maps"),
        ("http://mapper:9090/query/x", "http://mapper:9090/query/x"),
        ("unix:/run/query", "unix:/run/query"),
    ],
)
def test_the_path_of_the_models_door_is_left_out_of_the_address(url, address):
    assert mapper_address(SnifferSettings(mapper_url=url)) == address
