"""`docs/migration.md` against the values of both charts."""

from __future__ import annotations

import re
from pathlib import Path

import chart
import yaml

PAGE = Path(__file__).parents[2] / "docs" / "migration.md"
MODEL = """
    opentelemetry: enable metricName
    : enableInternetFacingTrafficReporting dnsClientIntentsUpdateEnabled enableIstioCollection
        debug allowGetAllResources
    mapper: repository image tag pullPolicy pullSecrets priorityClassName podSecurityContext containerSecurityContext
        resources affinity nodeSelector tolerations extraEnvVars excludeNamespaces uploadIntervalSeconds
    sniffer: enable repository image tag podSecurityContext containerSecurityContext affinity nodeSelector tolerations
        priorityClassName resources pullSecrets pullPolicy useExtendedProcfsResolution healthProbesPort
    kafkawatcher: enable repository image kafkaServers kafkaReportInterval kafkaCooldownInterval podSecurityContext
        containerSecurityContext
    nodeagent: *
    piidetector: *
    webhook: generateSelfSignedCert
    visibilitydns: *
    aws: visibility.enabled
    global: allowGetAllResources podAnnotations podLabels commonLabels commonAnnotations
        workloadNameOverrideAnnotationName serviceNameOverrideAnnotationName openshift
        controlPlaneIPv4CIDRPrefixLength otterizeCloud.apiAddress otterizeCloud.credentials.clientId
        otterizeCloud.credentials.clientSecret otterizeCloud.credentials.clientSecretKeyRef.*
        otterizeCloud.apiExtraCAPEMSecret telemetry.enabled telemetry.usage.enabled telemetry.errors.enabled
        telemetry.errors.stage telemetry.errors.endpointAddress telemetry.errors.networkMapperApiKey
        experimentalUseDockerImageAsServiceNameForJobs azure.* deployment.networkMapper
"""
"""The values of the Otterize chart, by what stands before the first dot."""


def values_of_the_model():
    found, group = set(), ""
    for word in MODEL.split():
        if word.endswith(":"):
            group = word.removesuffix(":")
        else:
            found.add(f"{group}.{word}" if group else word)
    return found


def rows():
    _, _, section = PAGE.read_text().partition("\n## The chart\n")
    return re.findall(r"^\| `([\w.*]+)` \| ([^|]+) \| (.*?) ?\|$", section.partition("\n## ")[0], re.MULTILINE)


def test_every_value_of_the_model_s_chart_is_listed_and_no_other():
    listed = [value for value, _, _ in rows()]
    assert len(listed) == len(set(listed))
    assert set(listed) == values_of_the_model()


def test_a_value_without_a_counterpart_has_a_reason():
    assert [value for value, here, remark in rows() if not here.startswith("`") and not remark] == []


def test_counterparts_are_values_of_our_chart():
    defaults = yaml.safe_load((chart.CHART / "values.yaml").read_text())
    for _, here, remark in rows():
        named = [here, *re.findall(r"`[a-z]\w*\.[\w.]+`", remark)]
        for name in named if here.startswith("`") else ():
            *way, last = name.strip("`").split(".")
            place = defaults
            for part in way:
                place = chart.settings(way[0]) if part == "settings" else place[part]
            assert last in place, name
