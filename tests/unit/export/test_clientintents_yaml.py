import re

import pytest
import yaml
from export_maps import HOSTILE
from hypothesis import example, given
from hypothesis import strategies as st

from network_mapper.export.clientintents.yaml_text import block, scalar

PLAIN = [
    "cart",
    "kubernetes.default",
    "svc:kubernetes.default",
    "k8s.otterize.com/v2beta1",
    "/a%20b",
    "/api/{id}/[x]",
    "/a?b=c&d=e#f",
    "/it's",
    '/"x"',
    "/a b",
    "-rf",
    "10-0-0-5",
    "3scale",
    "v1",
    "e3",
    "1.2.3.4",
    "arn:aws:s3:::bucket/*",
    "a-b",
    "nobody",
    "truest",
    "2001:db8::/56",
    "ünïcode",
    "日本",
    "🚀",
    "1/2",
]
QUOTED = [
    "",
    "true",
    "True",
    "yes",
    "NO",
    "on",
    "y",
    "N",
    "null",
    "~",
    "123",
    "-1",
    "+1",
    "1_000",
    "1.5",
    ".5",
    "5.",
    "1e3",
    "1E-3",
    "0x1F",
    "0b1",
    "0o17",
    "017",
    "1:30",
    "1:30.5",
    ".inf",
    "-.INF",
    ".nan",
    "2027-01-15",
    "2027-01-15T10:00:00Z",
    "=",
    "<<",
    "*",
    "&x",
    "!x",
    "|",
    ">",
    "@x",
    "`x",
    "%x",
    "#x",
    "-",
    "- x",
    "? x",
    ": x",
    "{x}",
    "[x]",
    ",x",
    "'x'",
    '"x"',
    "a: b",
    "a:",
    "a #b",
    " a",
    "a ",
    "---",
]


def node_of(text):
    """The one scalar as a parser resolves it."""
    return yaml.compose(f"key: {text}\n", Loader=yaml.SafeLoader).value[0][1]


@pytest.mark.parametrize("text", PLAIN)
def test_what_reads_as_itself_has_no_quotes(text):
    assert scalar(text) == text


@pytest.mark.parametrize("text", QUOTED)
def test_what_would_read_as_something_else_has_quotes(text):
    assert scalar(text) == "'" + text.replace("'", "''") + "'"


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "\x00", "\x1b[31m", "\x7f", "\x85", "\u2028", "\ufeff", "\ufffe"])
def test_what_does_not_print_is_escaped(text):
    assert re.fullmatch(r'"[\x20-\x7e]+"', scalar(text))


texts = st.one_of(
    st.text(max_size=30),
    st.text(alphabet="-?:,[]{}#&*!|>'\"%@` \t\nab01.~=<\\xeE+_", max_size=12),
    st.from_regex(r"[-+]?[0-9a-fxobe_.:]{1,8}", fullmatch=True),
    st.sampled_from(HOSTILE),
)


@given(texts)
@example("\ud7ff\ue000\U0010ffff")
def test_every_text_reads_as_itself(text):
    assert yaml.safe_load(f"key: {scalar(text)}\nlist:\n  - {scalar(text)}\n") == {"key": text, "list": [text]}


@given(texts)
def test_quotes_are_where_a_writer_of_yaml_would_set_them_or_where_versions_differ(text):
    ours = scalar(text)
    if ours.startswith(("'", '"')) and ours != text:
        written = yaml.dump(text, allow_unicode=True, width=10_000, Dumper=yaml.SafeDumper).removesuffix("\n...\n")
        differs = re.fullmatch(r"(?i)y|n|-{3}.*|\.{3}.*|[-+]?[0-9.:_obxa-fe+-]+", text, re.DOTALL)
        assert written.removesuffix("\n") != text or differs


@given(st.integers())
def test_numbers_stay_numbers(number):
    assert node_of(scalar(number)).tag == "tag:yaml.org,2002:int"


trees = st.recursive(
    texts | st.integers(0, 65535),
    lambda inner: (
        st.lists(inner.filter(lambda value: not isinstance(value, list)), max_size=3)
        | st.dictionaries(st.sampled_from(["name", "path", "methods", "http"]), inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["spec", "kind", "metadata"]), trees, min_size=1))
def test_every_tree_of_fields_reads_as_itself(fields):
    assert yaml.safe_load(block(fields)) == fields


@given(st.lists(texts, min_size=1, max_size=5))
def test_documents_are_parted(values):
    text = "\n---\n".join(block({"name": value}) for value in values)
    assert [document["name"] for document in yaml.safe_load_all(text)] == values
