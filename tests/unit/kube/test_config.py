"""Where a cluster is found, and what a kubeconfig's context comes to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.kube import kubeconfig
from network_mapper.kube.config import find_access, from_kubeconfig, in_cluster
from network_mapper.kube.credentials import TokenFile
from network_mapper.kube.errors import KubeConfigError
from network_mapper.kube.exec_plugin import ExecPlugin
from network_mapper.kube.proxy import Proxy
from network_mapper.kube.tls import Material

TOKEN = {"token": "t"}


def document(server="https://api:6443", user=None, cluster=None, context=None, **more):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": "u", "user": TOKEN if user is None else user}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", **(context or {})}}],
        **more,
    }


class Place:
    """A home folder, an environment and a pod's account, all made up."""

    def __init__(self, folder):
        self.folder = folder
        self.environ = {"HOME": str(folder / "home")}
        self.account = folder / "account"

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    def home(self, content):
        self.write("home/.kube/config", content)

    def pod(self):
        self.environ |= {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
        for name, text in (("token", "account"), ("ca.crt", "x"), ("namespace", "shop\n")):
            self.write(f"account/{name}", text)

    def find(self, file="", context=""):
        return find_access(file, context, environ=self.environ, service_account=self.account)

    def access(self, content, context=""):
        return self.find(str(self.write("config", content)), context)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def authorization(access):
    return asyncio.run(access.credentials.current()).authorization


# Where it is looked for.


def test_a_named_file_comes_before_everything(place):
    place.environ["KUBECONFIG"] = str(place.write("env", document("https://env")))
    place.pod()
    place.home(document("https://home"))
    assert place.access(document("https://named")).server == "https://named"


def test_kubeconfig_comes_before_the_pod_and_the_home_folder(place):
    place.environ["KUBECONFIG"] = str(place.write("env", document("https://env")))
    place.pod()
    place.home(document("https://home"))
    assert place.find().server == "https://env"


def test_the_pod_comes_before_the_home_folder(place):
    place.pod()
    place.home(document("https://home"))
    access = place.find()
    assert access.server == "https://10.96.0.1:443"
    assert access.namespace == "shop"
    assert access.tls.authority == Material(str(place.account / "ca.crt"))
    assert isinstance(access.credentials, TokenFile)
    assert authorization(access) == "Bearer account"


def test_the_home_folder_comes_last(place):
    place.home(document("https://home"))
    place.environ["KUBECONFIG"] = ""
    assert place.find().server == "https://home"


def test_a_pod_without_an_account_uses_the_home_folder(place):
    place.environ["KUBERNETES_SERVICE_HOST"] = "10.96.0.1"
    place.home(document("https://home"))
    assert place.find().server == "https://home"


def test_a_context_asked_for_in_a_pod_is_looked_for_in_the_home_folder(place):
    place.pod()
    place.home(document("https://home"))
    assert place.find(context="c").server == "https://home"


def test_nothing_at_all_says_what_to_do(place):
    with pytest.raises(
        KubeConfigError, match=r"no cluster is configured: .*\.kube/config; name a kubeconfig, or run in a"
    ):
        place.find()


def test_a_pod_without_an_account_says_what_to_do(place):
    place.environ["KUBERNETES_SERVICE_HOST"] = "10.96.0.1"
    with pytest.raises(KubeConfigError, match="automountServiceAccountToken"):
        place.find()


@pytest.mark.parametrize(
    ("host", "port", "server"),
    [("fd00::1", "6443", "https://[fd00::1]:6443"), ("10.0.0.1", "", "https://10.0.0.1:443")],
)
def test_the_pod_s_api_has_an_address_of_either_family(place, host, port, server):
    place.pod()
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    assert in_cluster(environ, place.account).server == server


def test_the_pod_s_api_is_reached_without_a_proxy(place):
    place.pod()
    place.environ["HTTPS_PROXY"] = "http://proxy:3128"
    assert place.find().proxy is None


def test_a_kubeconfig_s_api_is_reached_through_the_environment_s_proxy(place):
    place.environ["HTTPS_PROXY"] = "http://proxy:3128"
    assert place.access(document()).proxy == Proxy("proxy", 3128)
    place.environ["NO_PROXY"] = "api"
    assert place.access(document()).proxy is None


def test_a_cluster_s_own_proxy_wins(place):
    place.environ |= {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "api"}
    assert place.access(document(cluster={"proxy-url": "http://own:1"})).proxy == Proxy("own", 1)


# Several files.


def merged(place, *documents):
    files = [str(place.write(f"{number}/config", content)) for number, content in enumerate(documents)]
    place.environ["KUBECONFIG"] = os.pathsep.join(["", *files, str(place.folder / "missing"), files[0]])


def test_the_first_file_s_entry_counts_as_a_whole(place):
    second = document("https://second", user={"username": "n", "password": "p"}, cluster={"tls-server-name": "x"})
    merged(place, {"clusters": [{"name": "k", "cluster": {"server": "https://first"}}]}, second)
    access = place.find()
    assert (access.server, access.tls.name) == ("https://first", "")
    assert authorization(access).startswith("Basic ")


def test_the_first_current_context_counts(place):
    merged(place, {"current-context": "other"}, document())
    with pytest.raises(KubeConfigError, match="has no context 'other'; it has: c"):
        place.find()
    assert place.find(context="c").server == "https://api:6443"


def test_paths_are_relative_to_the_file_they_stand_in(place):
    for name, text in (("0/ca", "x"), ("1/token", "t1")):
        place.write(name, text)
    first = {"clusters": [{"name": "k", "cluster": {"server": "https://api", "certificate-authority": "ca"}}]}
    merged(place, first, document(user={"tokenFile": "token"}))
    access = place.find()
    assert access.tls.authority == Material(str(place.folder / "0/ca"))
    assert authorization(access) == "Bearer t1"


def test_a_broken_file_among_several_is_named(place):
    merged(place, document(), "{")
    with pytest.raises(KubeConfigError, match="1/config is no YAML: line "):
        place.find()


def test_several_files_of_which_none_exists_are_named(place):
    place.environ["KUBECONFIG"] = "/no/a:/no/b"
    with pytest.raises(KubeConfigError, match="none of these kubeconfigs exists: /no/a, /no/b"):
        place.find()


# What an entry comes to.


def test_a_context_has_a_namespace(place):
    assert place.access(document()).namespace == "default"
    assert place.access(document(context={"namespace": "shop"})).namespace == "shop"


def test_json_is_read_as_well(place):
    assert place.access(json.dumps(document())).server == "https://api:6443"


@pytest.mark.parametrize(
    ("server", "plain"),
    [
        ("https://[fd00::1]:6443", "https://[fd00::1]:6443"),
        ("https://rancher.example/k8s/clusters/c-1/", "https://rancher.example/k8s/clusters/c-1"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
    ],
)
def test_a_server_s_url_is_taken_in_its_plain_form(place, server, plain):
    assert place.access(document(server)).server == plain


def test_tls_settings_are_taken(place):
    place.write("key.pem", "k")
    place.write("crt.pem", "c")
    data = base64.b64encode(b"authority").decode()
    tls = place.access(
        document(
            cluster={"certificate-authority-data": data, "certificate-authority": "ignored", "tls-server-name": "n"},
            user={"client-certificate": "crt.pem", "client-key": "key.pem"},
        )
    ).tls
    assert (tls.authority, tls.verify, tls.name) == (Material(data=b"authority"), True, "n")
    assert tls.certificate == Material(str(place.folder / "crt.pem"))
    assert tls.key == Material(str(place.folder / "key.pem"))
    assert not place.access(document(cluster={"insecure-skip-tls-verify": True})).tls.verify


def test_a_token_file_wins_over_a_token(place):
    place.write("file", "from-file")
    assert authorization(place.access(document(user={**TOKEN, "tokenFile": "file"}))) == "Bearer from-file"
    assert authorization(place.access(document(user={**TOKEN, "tokenFile": "gone"}))) == "Bearer t"


def test_a_user_may_be_nobody(place):
    assert authorization(place.access(document(user={}))) == ""
    assert authorization(place.access(document(contexts=[{"name": "c", "context": {"cluster": "k"}}]))) == ""


def test_whom_a_user_acts_as_goes_into_headers(place):
    user = {
        **TOKEN,
        "as": "u",
        "as-uid": "7",
        "as-groups": ["a", "b"],
        "as-user-extra": {"example.org/Reason": ["x", "y"]},
    }
    assert place.access(document(user=user)).headers == [
        ("Impersonate-User", "u"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-example.org%2Freason", "x"),
        ("Impersonate-Extra-example.org%2Freason", "y"),
    ]


PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", "interactiveMode": "IfAvailable"}


def told(access):
    assert isinstance(access.credentials, ExecPlugin)
    return json.loads(access.credentials._environ["KUBERNETES_EXEC_INFO"])["spec"]


def test_a_plugin_is_told_of_the_cluster_where_it_asks(place):
    cluster = {
        "certificate-authority": "ca",
        "tls-server-name": "n",
        "proxy-url": "http://p:1",
        "disable-compression": True,
        "extensions": [
            {"name": "other", "extension": 1},
            {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}},
        ],
    }
    place.write("ca", "authority")
    assert told(place.access(document(cluster=cluster, user={"exec": PLUGIN}))) == {"interactive": False}
    asking = {"exec": {**PLUGIN, "provideClusterInfo": True}}
    assert told(place.access(document(cluster=cluster, user=asking)))["cluster"] == {
        "server": "https://api:6443",
        "tls-server-name": "n",
        "proxy-url": "http://p:1",
        "disable-compression": True,
        "certificate-authority-data": base64.b64encode(b"authority").decode(),
        "config": {"audience": "a"},
    }


# What cannot be used.


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "has no context; it may be empty"),
        ("just text", "is no kubeconfig: Expected `object`, got `str`"),
        ("[1]", "is no kubeconfig: Expected `object`, got `array`"),
        ("a: b: c", "is no YAML: line 1: mapping values are not allowed in this context"),
        ("a: 2024-99-99", "is no YAML: month must be in 1..12"),
        ("a: !!python/object:os.system x", "is no YAML: line 1: could not determine a constructor"),
        ("a: 1\n---\nb: 1", "is no YAML: line 2: but found another document"),
        ("\x00", "is no YAML"),
        ("[" * 100_000, "nested too deeply"),
        ("{a: " * 100_000, "nested too deeply"),
        ({**document(), "kind": "Secret"}, "it holds a 'Secret'"),
        ({**document(), "clusters": {}}, r"Expected `array | null`, got `object` - at `\$.clusters`"),
        (document(user={"token": 5}), r"Expected `str | null`, got `int` - at `\$.users\[0\].user.token`"),
        ({**document(), "current-context": ""}, "name one of its contexts: c"),
        ({**document(), "current-context": None}, "name one of its contexts: c"),
        ({**document(), "current-context": "x"}, "has no context 'x'; it has: c"),
        ({**document(), "clusters": None}, "has no cluster 'k'; it has: none"),
        ({**document(), "users": []}, "has no user 'u'; it has: none"),
        ({**document(), "users": document()["users"] * 2}, "two entries for the user 'u'"),
        ({**document(), "contexts": [{"name": "c"}]}, "has no cluster ''"),
        (document(""), "cluster 'k' has no server"),
        (document("api:6443"), "no URL of a server, expected https://host:port"),
        (document("https://api:port"), "no URL of a server"),
        (document("https://"), "no URL of a server"),
        (document("https://a b"), "no URL of a server"),
        (document("https://api/?x=1"), "no URL of a server"),
        (document("https://ä.example"), "no URL of a server"),
        (document("ftp://api"), "no URL of a server"),
        (document("https://me:secret@api"), "holds a name or password"),
        (document(cluster={"proxy-url": "socks5://x"}), "cluster 'k': proxy-url: socks5 proxies are not supported"),
        (document(cluster={"certificate-authority": "no"}), "cannot read certificate-authority .*/no: No such file"),
        (document(cluster={"certificate-authority-data": "%"}), "certificate-authority-data is no base64"),
        (
            document(cluster={"certificate-authority-data": "eA==", "insecure-skip-tls-verify": True}),
            "certificate-authority and insecure-skip-tls-verify; remove one",
        ),
        (document(user={"client-certificate-data": "eA=="}), "lacks client-key or client-key-data"),
        (document(user={"client-key-data": "eA=="}), "lacks client-certificate or"),
        (document(user={**TOKEN, "username": "n"}), "a token and a password"),
        (document(user={"token": "a\nb"}), "its token holds characters"),
        (document(user={"token": "ä"}), "its token holds characters"),
        (
            document(user={"auth-provider": {"name": "gcp"}}),
            "the auth-provider 'gcp', which Kubernetes removed in 1.26",
        ),
        (document(user={"auth-provider": 5}), "the auth-provider ''"),
        (document(user={"exec": {"command": "x"}}), "apiVersion ''"),
        (document(user={"exec": {**PLUGIN, "interactiveMode": "Always"}}), "asks questions"),
        (document(user={"as-groups": ["g"]}), "without as"),
        (document(user={"as": "a\r\nb"}), "characters that no header may"),
    ],
)
def test_what_cannot_be_used_is_one_line_that_says_why(place, content, words):
    with pytest.raises(KubeConfigError, match=words) as caught:
        place.access(content)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 900
    assert str(place.folder) in text


@pytest.mark.parametrize(
    ("name", "words"), [("missing", "there is no kubeconfig at"), ("", "cannot read the kubeconfig")]
)
def test_a_file_that_cannot_be_read_is_named(place, name, words):
    with pytest.raises(KubeConfigError, match=words):
        place.find(str(place.folder / name))


def test_a_file_that_is_far_too_large_is_refused(place, monkeypatch):
    monkeypatch.setattr(kubeconfig, "_LARGEST", 1000)
    with pytest.raises(KubeConfigError, match="has more than"):
        place.access("#" * 1001)


def test_a_fault_of_another_entry_harms_nobody(place):
    content = document(
        clusters=[*document()["clusters"], {"name": "x", "cluster": {"server": "?"}}],
        users=[*document()["users"], {"name": "x", "user": {"auth-provider": {}}}, {"name": "y"}],
    )
    assert place.access(content).server == "https://api:6443"


# Nothing else escapes.

_NAMES = [
    "clusters", "cluster", "users", "user", "contexts", "context", "name", "server", "current-context", "token", "exec",
    "command", "env", "args", "apiVersion", "interactiveMode", "provideClusterInfo", "certificate-authority-data",
    "certificate-authority", "client-key-data", "client-certificate", "tokenFile", "extensions", "extension", "as",
    "as-groups", "proxy-url", "username", "password", "namespace", "kind",
]  # fmt: skip
_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=5) | st.dates()
)
_WORDS = st.sampled_from(
    ["c", "k", "u", "https://x", "http://[::1]:1", PLUGIN["apiVersion"], "Never", "eA==", "\x00", "\ud800"]
)
_TREES = st.recursive(
    _SCALARS | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES) | _SCALARS, inner, max_size=4),
    max_leaves=25,
)
_ENTRIES = st.dictionaries(st.sampled_from(_NAMES), _SCALARS | _WORDS | _TREES, max_size=5)


def only_our_error(text):
    config = kubeconfig.KubeConfig()
    with contextlib.suppress(KubeConfigError):
        config.add(kubeconfig.Path("/f/config"), text)
        from_kubeconfig(config, environ={})


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_arbitrary_bytes_raise_nothing_else(text):
    only_our_error(text)


@given(_TREES)
def test_arbitrary_yaml_raises_nothing_else(tree):
    only_our_error(yaml.dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


@given(_ENTRIES, _ENTRIES, _ENTRIES)
def test_arbitrary_entries_in_their_places_raise_nothing_else(cluster, user, context):
    tree = document(cluster=cluster, user=user, context=context)
    only_our_error(yaml.dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


def test_a_tree_that_contains_itself_is_a_clear_error(place):
    text = yaml.safe_dump(document(user={"exec": {**PLUGIN, "provideClusterInfo": True}}))
    entry = "    extensions:\n    - name: client.authentication.k8s.io/exec\n      extension: &a [*a]\n"
    with pytest.raises(KubeConfigError, match="is no JSON"):
        place.access(text.replace("    server:", entry + "    server:"))


def test_names_that_repeat_themselves_are_no_trap():
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghijklmnopqrst", "bcdefghijklmnopqrstu", strict=True)
    )
    only_our_error((bomb + "users: *u\nclusters: &z [*z]\n").encode())
