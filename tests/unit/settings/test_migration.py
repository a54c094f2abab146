"""`docs/migration.md` against the declarations, and against every key that the Otterize network mapper reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from network_mapper.mapper.settings import MapperSettings
from network_mapper.settings import LogSettings, settings_of
from network_mapper.sniffer.settings import SnifferSettings

PAGE = Path(__file__).parents[3] / "docs" / "migration.md"
TELEMETRY = """
    telemetry-enabled telemetry-usage-enabled telemetry-errors-enabled telemetry-errors-stage telemetry-errors-api-key
    telemetry-client-timeout
"""
KEYS = {
    "Sniffer": f"""
        mapper-api-url debug metrics-port health-probes-port enable-tcp enable-dns enable-socket-scanner host-proc-dir
        calls-timeout sniffer-report-interval packets-buffer-length hosts-mapping-refresh-interval
        use-extended-procfs-resolution api-address client-id {TELEMETRY}
    """,
    "Mapper": f"""
        cluster-domain api-address client-id client-secret api-extra-ca-pem cloud-client-timeout
        upload-interval-seconds upload-batch-size exclude-namespaces enable-otel-export otel-metric-name
        capture-external-traffic-enabled create-webhook-certificate dns-cache-items-max-capacity
        dns-client-intents-update-interval dns-client-intents-update-enabled service-cache-ttl-duration
        service-cache-size metrics-collection-traffic-cache-size webhook-services-cache-size enable-istio-collection
        istio-restrict-collection-to-namespace istio-report-interval istio-cooldown-interval istio-metric-fetch-timeout
        time-server-has-to-live-before-we-trust-it control-plane-ipv4-cidr-prefix-length
        tcp-dest-resolve-only-control-plane-by-ip workload-name-override-annotation
        use-image-name-for-service-id-for-jobs enable-tcp enable-dns enable-socket-scanner debug metrics-port
        {TELEMETRY}
    """,
    "Kafka watcher": f"""
        kafka-log-read-mode kafka-servers kafka-report-interval kafka-cooldown-interval kafka-authz-log-path
        mapper-api-url debug metrics-port {TELEMETRY}
    """,
}
"""What the Otterize network mapper v3.0.19 reads, by component."""

DECLARED = {
    "Sniffer": [*settings_of(SnifferSettings), *settings_of(LogSettings)],
    "Mapper": [*settings_of(MapperSettings), *settings_of(LogSettings)],
    "Kafka watcher": [],
}


def table(title: str) -> dict[str, str]:
    """The second column of a section's table by its first."""
    _, _, section = PAGE.read_text().partition(f"\n### {title}\n")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([^|]+) \|", section.partition("\n### ")[0], re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a key stands there twice"
    return dict(rows)


@pytest.mark.parametrize("title", KEYS)
def test_every_key_of_the_model_is_listed_and_no_other(title):
    assert set(table(title)) == set(KEYS[title].split())


@pytest.mark.parametrize("title", KEYS)
def test_every_row_says_what_became_of_the_key(title):
    flags = {f"`{item.flag}`" for item in DECLARED[title]}
    assert set(table(title).values()) <= flags | {"not offered", "later"}


@pytest.mark.parametrize("title", KEYS)
def test_counterparts_are_those_of_the_declarations(title):
    listed = {key: here.strip("`") for key, here in table(title).items() if here.startswith("`")}
    assert listed == {key: item.flag for item in DECLARED[title] for key in item.model}
