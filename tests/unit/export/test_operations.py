import pytest
import yaml

from network_mapper.export import operations, text
from network_mapper.export.clientintents.convert import convert
from network_mapper.export.clientintents.write import to_yaml
from network_mapper.mapper.graphql.requests import KAFKA_OPERATIONS
from network_mapper.model import Edge, Workload

CLIENT, KAFKA = Workload("client", "shop", "Deployment"), Workload("kafka", "shop", "StatefulSet")


def asked(*words):
    return [Edge(CLIENT, KAFKA, None, 0, "kafka", requests=1, details={"orders": list(words)})]


def exported(edges):
    """The operations of the only topic, and those that found no place."""
    converted = convert(edges)
    document = yaml.safe_load(to_yaml(converted.documents, "v2beta1"))
    return document["spec"]["targets"][0]["kafka"]["topics"][0]["operations"], converted.left.operations


def listed(edges):
    """The operations of the only topic, as `list` shows them."""
    (line,) = text.details(edges)
    return line.partition("operations: ")[2].strip("[]").split()


@pytest.mark.parametrize(
    ("word", "shown"),
    [("DESCRIBE", "describe"), ("ALL", "all"), ("CLUSTER_ACTION", "ClusterAction"), ("ALTER_CONFIGS", "AlterConfigs"),
     ("IDEMPOTENT_WRITE", "IdempotentWrite"), ("DESCRIBE_CONFIGS", "DescribeConfigs"), ("read", "read"), ("", ""),
     ("WHATEVER", "WHATEVER")],
)  # fmt: skip
def test_people_read_the_words_of_the_resource(word, shown):
    assert operations.shown(word) == shown


def test_every_operation_that_a_mapper_keeps_has_a_word():
    assert set(KAFKA_OPERATIONS.values()) <= operations.OPERATIONS.keys()


@pytest.mark.parametrize("word", operations.OPERATIONS)
def test_list_and_export_say_the_same_word_for_either_spelling(word):
    shown = operations.OPERATIONS[word]
    for edges in (asked(word), asked(shown), asked(word, shown)):
        assert listed(edges) == [shown]
        assert exported(edges) == ([shown], {})


def test_list_and_export_have_one_order():
    edges = asked(*operations.OPERATIONS)
    assert listed(edges) == exported(edges)[0] == sorted(operations.OPERATIONS.values(), key=str.lower)


def test_an_operation_that_the_resource_does_not_know_is_listed_and_not_exported():
    edges = asked("CONSUME", "WHATEVER")
    assert listed(edges) == ["consume", "WHATEVER"]
    assert exported(edges) == (["consume"], {"WHATEVER": 1})
