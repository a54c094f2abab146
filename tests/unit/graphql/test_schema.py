"""The schema, by its introspection, against the model's as it is written down here by hand."""

import graphql

from network_mapper.mapper.graphql.schema import schema

QUERY = {
    "serviceIntents(namespaces: [String!], includeLabels: [String!], includeAllLabels: Boolean)": "[ServiceIntents!]!",
    "intents(namespaces: [String!], includeLabels: [String!], excludeServiceWithLabels: [String!],"
    " includeAllLabels: Boolean, server: ServerFilter)": "[Intent!]!",
    "health": "Boolean!",
}
MUTATION = {
    "resetCapture": "Boolean!",
    "reportCaptureResults(results: CaptureResults!)": "Boolean!",
    "reportTCPCaptureResults(results: CaptureTCPResults!)": "Boolean!",
    "reportSocketScanResults(results: SocketScanResults!)": "Boolean!",
    "reportKafkaMapperResults(results: KafkaMapperResults!)": "Boolean!",
    "reportIstioConnectionResults(results: IstioConnectionResults!)": "Boolean!",
    "reportAWSOperation(operation: [AWSOperation!]!)": "Boolean!",
    "reportAzureOperation(operation: [AzureOperation!]!)": "Boolean!",
    "reportGCPOperation(operation: [GCPOperation!]!)": "Boolean!",
    "reportTrafficLevelResults(results: TrafficLevelResults!)": "Boolean!",
}
OBJECTS = {
    "Query": QUERY,
    "Mutation": MUTATION,
    "PodLabel": {"key": "String!", "value": "String!"},
    "GroupVersionKind": {"group": "String", "version": "String!", "kind": "String!"},
    "TCPDestResolveBugfixData": {"isSrcControlPlane": "Boolean!", "resolvedUsingIp": "Boolean!"},
    "IdentityResolutionData": {
        "host": "String",
        "podHostname": "String",
        "procfsHostname": "String",
        "port": "Int",
        "isService": "Boolean",
        "uptime": "String",
        "lastSeen": "String",
        "extraInfo": "String",
        "hasLinkerdSidecar": "Boolean",
        "tcpDestResolveFixData": "TCPDestResolveBugfixData",
    },
    "OtterizeServiceIdentity": {
        "name": "String!",
        "namespace": "String!",
        "labels": "[PodLabel!]",
        "nameResolvedUsingAnnotation": "Boolean",
        "resolutionData": "IdentityResolutionData",
        "podOwnerKind": "GroupVersionKind",
        "kubernetesService": "String",
    },
    "KafkaConfig": {"name": "String!", "operations": "[KafkaOperation!]"},
    "HttpResource": {"path": "String!", "methods": "[HttpMethod!]"},
    "Intent": {
        "client": "OtterizeServiceIdentity!",
        "server": "OtterizeServiceIdentity!",
        "type": "IntentType",
        "resolutionData": "String",
        "kafkaTopics": "[KafkaConfig!]",
        "httpResources": "[HttpResource!]",
        "awsActions": "[String!]",
    },
    "ServiceIntents": {"client": "OtterizeServiceIdentity!", "intents": "[OtterizeServiceIdentity!]!"},
}
INPUTS = {
    "Destination": {
        "destination": "String!",
        "destinationIP": "String",
        "destinationPort": "Int",
        "TTL": "Int",
        "lastSeen": "Time!",
        "srcPorts": "[Int!]",
    },
    "RecordedDestinationsForSrc": {
        "srcIp": "String!",
        "srcHostname": "String!",
        "destinations": "[Destination!]!",
    },
    "CaptureResults": {"results": "[RecordedDestinationsForSrc!]!"},
    "CaptureTCPResults": {"results": "[RecordedDestinationsForSrc!]!"},
    "SocketScanResults": {"results": "[RecordedDestinationsForSrc!]!"},
    "KafkaMapperResult": {
        "srcIp": "String!",
        "serverPodName": "String!",
        "serverNamespace": "String!",
        "topic": "String!",
        "operation": "String!",
        "lastSeen": "Time!",
    },
    "KafkaMapperResults": {"results": "[KafkaMapperResult!]!"},
    "IstioConnection": {
        "srcWorkload": "String!",
        "srcWorkloadNamespace": "String!",
        "dstWorkload": "String!",
        "dstServiceName": "String!",
        "dstWorkloadNamespace": "String!",
        "path": "String!",
        "methods": "[HttpMethod!]!",
        "lastSeen": "Time!",
    },
    "IstioConnectionResults": {"results": "[IstioConnection!]!"},
    "NamespacedName": {"name": "String!", "namespace": "String!"},
    "AWSOperation": {
        "resource": "String!",
        "actions": "[String!]!",
        "srcIp": "String",
        "iamRole": "String",
        "client": "NamespacedName",
    },
    "GCPOperation": {
        "resource": "String!",
        "permissions": "[String!]!",
        "srcIp": "String",
        "client": "NamespacedName",
    },
    "AzureOperation": {
        "scope": "String!",
        "actions": "[String!]!",
        "dataActions": "[String!]!",
        "clientName": "String!",
        "clientNamespace": "String!",
    },
    "ServerFilter": {"name": "String!", "namespace": "String!"},
    "TrafficLevelResult": {"srcIP": "String!", "dstIP": "String!", "bytesSent": "Int!", "flows": "Int!"},
    "TrafficLevelResults": {"results": "[TrafficLevelResult!]!"},
}
ENUMS = {
    "IntentType": "HTTP KAFKA DATABASE AWS S3",
    "KafkaOperation": "ALL CONSUME PRODUCE CREATE ALTER DELETE DESCRIBE CLUSTER_ACTION DESCRIBE_CONFIGS"
    " ALTER_CONFIGS IDEMPOTENT_WRITE",
    "HttpMethod": "GET POST PUT DELETE OPTIONS TRACE PATCH CONNECT ALL",
}
SCALARS = {"Boolean", "Int", "String", "Time"}
STANDARD_QUERY = graphql.get_introspection_query()


def written(kind):
    """A type reference as people write it."""
    if kind["kind"] == "NON_NULL":
        return written(kind["ofType"]) + "!"
    if kind["kind"] == "LIST":
        return f"[{written(kind['ofType'])}]"
    return kind["name"]


def types(behind, kind):
    found = behind.data(STANDARD_QUERY)["__schema"]["types"]
    return {item["name"]: item for item in found if item["kind"] == kind and not item["name"].startswith("__")}


def heading(field):
    args = ", ".join(f"{arg['name']}: {written(arg['type'])}" for arg in field["args"])
    return f"{field['name']}({args})" if args else field["name"]


def test_objects_have_the_models_fields_arguments_and_nullability_in_its_order(behind):
    found = {
        name: [(heading(field), written(field["type"])) for field in item["fields"]]
        for name, item in types(behind, "OBJECT").items()
    }
    assert found == {name: list(fields.items()) for name, fields in OBJECTS.items()}


def test_inputs_have_the_models_fields_and_nullability_in_its_order(behind):
    found = {
        name: [(field["name"], written(field["type"])) for field in item["inputFields"]]
        for name, item in types(behind, "INPUT_OBJECT").items()
    }
    assert found == {name: list(fields.items()) for name, fields in INPUTS.items()}


def test_no_argument_or_input_field_has_a_default(behind):
    inputs = [field for item in types(behind, "INPUT_OBJECT").values() for field in item["inputFields"]]
    args = [arg for item in types(behind, "OBJECT").values() for field in item["fields"] for arg in field["args"]]
    assert {item["defaultValue"] for item in inputs + args} == {None}


def test_enumerations_have_the_models_values_in_its_order(behind):
    found = {
        name: " ".join(value["name"] for value in item["enumValues"]) for name, item in types(behind, "ENUM").items()
    }
    assert found == ENUMS


def test_there_are_four_scalars_and_no_interfaces_or_unions(behind):
    assert types(behind, "SCALAR").keys() == SCALARS
    assert not types(behind, "INTERFACE")
    assert not types(behind, "UNION")


def test_roots_and_directives_are_the_models(behind):
    found = behind.data(STANDARD_QUERY)["__schema"]
    assert found["queryType"]["name"] == "Query"
    assert found["mutationType"]["name"] == "Mutation"
    assert found["subscriptionType"] is None
    assert {item["name"] for item in found["directives"]} == {"include", "skip", "deprecated", "specifiedBy", "defer"}


def test_introspection_answers_what_the_library_answers(behind):
    kwargs = schema().to_kwargs()
    kwargs["directives"] = [item for item in kwargs["directives"] if item.name != "defer"]
    oracle = graphql.GraphQLSchema(**kwargs)
    query = graphql.get_introspection_query(specified_by_url=True, directive_is_repeatable=True)
    expected = graphql.graphql_sync(oracle, query).data["__schema"]
    found = behind.data(query)["__schema"]
    assert [item for item in found["directives"] if item["name"] != "defer"] == expected["directives"]
    assert {**found, "directives": None} == {**expected, "directives": None}


def test_one_type_can_be_asked_for(behind):
    found = behind.data('{__type(name: "Time") {kind name} none: __type(name: "Nope") {name} __typename}')
    assert found == {"__type": {"kind": "SCALAR", "name": "Time"}, "none": None, "__typename": "Query"}
