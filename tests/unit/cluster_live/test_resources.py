"""The rules of the mapper's ClusterRole: in the code, and as people copy them from the page."""

from pathlib import Path

import yaml

from network_mapper.cluster.live.resources import KNOWN_OWNERS, NEVER_READ, PODS, REQUIRED, rules

PAGE = Path(__file__).parents[3] / "docs" / "security.md"


def granted():
    return [(rule["apiGroups"][0], plural) for rule in rules() for plural in rule["resources"]]


def test_the_page_has_the_rules():
    text = PAGE.read_text().partition("```yaml\n")[2].partition("```")[0]
    assert yaml.safe_load(text)["rules"] == rules()


def test_all_that_is_needed_and_all_known_owners_are_granted_once():
    found = granted()
    assert len(found) == len(set(found))
    assert {(resource.group, resource.plural) for resource in REQUIRED} <= set(found)
    assert {(group, plural) for group, plural, _ in KNOWN_OWNERS} <= set(found)


def test_nothing_is_granted_by_a_star_and_nothing_that_writes():
    assert not any("*" in value for rule in rules() for values in rule.values() for value in values)
    assert {verb for rule in rules() for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert not {(f"{kind.lower()}s") for kind in NEVER_READ} & {plural for _, plural in granted()}


def test_a_grant_is_told_as_a_rule():
    assert yaml.safe_load(PODS.grant) == {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
