"""Guests' requests over real sockets, to servers and names that do not mean well."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from time import monotonic

import anyio
import pytest

from alga_runner.egress import (
    AddressRules,
    Egress,
    EgressLimits,
    Outgoing,
    Resolver,
    parse_networks,
    parse_rules,
)
from alga_runner.errors import HostCallCode, HostCallError
from tests.support.patience import PATIENCE_S
from tests.support.raw_server import RawServer, listening

pytestmark = pytest.mark.anyio

CERTIFICATE = Path(__file__).parents[2] / "support" / "tls.test.pem"
ANY = parse_rules("http://*:* https://*:*")
LOOPBACK = AddressRules(parse_networks("127.0.0.0/8"))


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with listening(RawServer()) as server:
        yield server


class Names:
    """A resolver that answers with the next list each time it is asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@asynccontextmanager
async def egress(
    lookup: Names | None = None,
    *,
    rules: str | None = None,
    addresses: AddressRules = LOOPBACK,
    **limits: float,
) -> AsyncIterator[Egress]:
    client = Egress(
        ANY if rules is None else parse_rules(rules),
        addresses,
        EgressLimits(**limits),  # type: ignore[arg-type] # bytes and seconds
        resolver=Resolver(lookup or Names(["127.0.0.1"]), threads=4),
    )
    try:
        yield client
    finally:
        await client.aclose()


async def fetch(
    client: Egress, url: str, *, install_rules: str | None = None, **members: object
) -> tuple[int, dict[str, str], bytes]:
    outgoing = Outgoing("GET", url)._replace(**members)  # type: ignore[arg-type] # a test's own
    answer = await client.fetch(outgoing, "tenant", monotonic() + PATIENCE_S, install_rules)
    return answer.status, dict(answer.headers), answer.body


async def refused(
    client: Egress, url: str, *, install_rules: str | None = None, **members: object
) -> tuple[HostCallCode, str]:
    with pytest.raises(HostCallError) as error:
        await fetch(client, url, install_rules=install_rules, **members)
    return error.value.host_code, str(error.value)


async def test_an_answer_arrives(server: RawServer) -> None:
    async with egress() as client:
        answer = await fetch(client, f"http://api.test:{server.port}/a?b=c", headers=[("X-Key", "v")])

    assert answer == (200, {"content-length": "2"}, b"hi")
    assert server.heads[0].startswith(b"GET /a?b=c HTTP/1.1\r\nhost: api.test:%d\r\n" % server.port)
    assert b"\r\nX-Key: v\r\n" in server.heads[0]


async def test_without_a_rule_nothing_is_looked_up_or_sent(server: RawServer) -> None:
    names = Names(["127.0.0.1"])
    async with egress(names, rules="") as client:
        code, text = await refused(client, f"http://api.test:{server.port}/secret?q=1")

    assert (code, names.asked, server.heads) == (HostCallCode.DENIED, [], [])
    assert f"the rule http://api.test:{server.port} in ALGA_RUNNER_EGRESS_ALLOW would allow them" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::1"], ["10.0.0.1", "169.254.169.254"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"]],
)
async def test_a_name_of_a_special_address_is_refused(server: RawServer, addresses: list[str]) -> None:
    async with egress(Names(addresses), addresses=AddressRules()) as client:
        code, text = await refused(client, f"http://api.test:{server.port}/")

    assert (code, server.heads) == (HostCallCode.DENIED, [])
    assert "ALGA_RUNNER_EGRESS_ALLOW_ADDRESSES" in text
    assert not any(address in text for address in addresses)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"])
async def test_this_machine_is_refused_by_any_of_its_names(server: RawServer, host: str) -> None:
    async with egress(addresses=AddressRules()) as client:
        code, _ = await refused(client, f"http://{host}:{server.port}/")

    assert (code, server.heads) == (HostCallCode.DENIED, [])


async def test_a_name_that_is_bound_anew_after_the_check_changes_nothing() -> None:
    names = Names(["127.0.0.2"], ["127.0.0.1"])
    only_public = AddressRules(parse_networks("127.0.0.2"))
    async with (
        listening(RawServer(), at="127.0.0.2") as public,
        listening(RawServer(), port=public.port) as internal,
        egress(names, addresses=only_public) as client,
    ):
        await fetch(client, f"http://rebinding.test:{public.port}/")
        code, _ = await refused(client, f"http://rebinding.test:{public.port}/")

    assert (len(public.heads), len(internal.heads)) == (1, 0)
    assert code is HostCallCode.DENIED
    assert names.asked == ["rebinding.test"] * 2


async def test_of_several_addresses_only_the_allowed_ones_are_used() -> None:
    only_public = AddressRules(parse_networks("127.0.0.2"))
    async with (
        listening(RawServer(), at="127.0.0.2") as public,
        listening(RawServer(), port=public.port) as internal,
        egress(Names(["127.0.0.1", "127.0.0.2"]), addresses=only_public) as client,
    ):
        await fetch(client, f"http://mixed.test:{public.port}/")

    assert (len(public.heads), len(internal.heads)) == (1, 0)


async def test_an_address_where_nothing_answers_is_not_the_last_word(server: RawServer) -> None:
    async with egress(Names(["127.0.0.3", "127.0.0.1"])) as client:
        assert (await fetch(client, f"http://api.test:{server.port}/"))[0] == 200


def redirect(to: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n".encode()


async def test_a_redirect_is_the_answer_unless_the_guest_asks_to_follow(server: RawServer) -> None:
    server.answer = redirect("http://other.test/")
    async with egress() as client:
        status, headers, _ = await fetch(client, f"http://api.test:{server.port}/")

    assert (status, headers["location"], len(server.heads)) == (302, "http://other.test/", 1)


@pytest.mark.parametrize("rules", ["http://api.test:*", "http://api.test:* http://127.0.0.1:*"])
async def test_a_redirect_to_this_machine_is_checked_as_the_first_request(
    server: RawServer, rules: str
) -> None:
    async with listening(RawServer(), at="127.0.0.2") as public:
        public.answer = redirect(f"http://127.0.0.1:{server.port}/admin")
        only_public = AddressRules(parse_networks("127.0.0.2"))
        async with egress(Names(["127.0.0.2"]), rules=rules, addresses=only_public) as client:
            code, _ = await refused(client, f"http://api.test:{public.port}/", redirects=3)

    assert (code, server.heads) == (HostCallCode.DENIED, [])


async def test_a_redirect_to_a_server_without_a_rule_is_denied(server: RawServer) -> None:
    async with listening(RawServer()) as first:
        first.answer = redirect(f"http://other.test:{server.port}/")
        async with egress(rules="http://api.test:*") as client:
            code, text = await refused(client, f"http://api.test:{first.port}/", redirects=1)

    assert (code, server.heads) == (HostCallCode.DENIED, [])
    assert f"the rule http://other.test:{server.port} in" in text


@pytest.mark.parametrize(
    "location", ["ftp://other.test/", "http://[::1", "http://2130706433/", "http://u:p@x.test", "//a:[b]c"]
)
async def test_a_redirect_to_a_url_that_is_none_is_no_fault_of_the_guest(
    server: RawServer, location: str
) -> None:
    server.answer = redirect(location)
    async with egress() as client:
        code, text = await refused(client, f"http://api.test:{server.port}/", redirects=1)

    assert code is HostCallCode.INTERNAL
    assert text == "api.test redirects to a URL that cannot be used."


async def test_a_redirect_to_another_origin_carries_no_credentials(server: RawServer) -> None:
    async with listening(RawServer()) as first:
        first.answer = redirect(f"http://other.test:{server.port}/b", 307)
        headers = [("authorization", "Bearer x"), ("cookie", "y"), ("x-kept", "z")]
        async with egress() as client:
            await fetch(
                client,
                f"http://api.test:{first.port}/a",
                method="POST",
                headers=headers,
                body=b"body",
                redirects=1,
            )

    assert server.bodies == [b"body"]
    assert b"x-kept: z" in server.heads[0]
    assert b"authorization" not in server.heads[0]
    assert b"cookie" not in server.heads[0]


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_post_is_redirected_to_a_get_without_its_body(server: RawServer, status: int) -> None:
    async with listening(RawServer()) as first:
        first.answer = redirect(f"http://api.test:{server.port}/b", status)
        headers = [("content-type", "text/plain")]
        async with egress() as client:
            await fetch(
                client,
                f"http://api.test:{first.port}/",
                method="POST",
                headers=headers,
                body=b"body",
                redirects=1,
            )

    assert server.heads[0].startswith(b"GET /b ")
    assert server.bodies == [b""]
    assert b"content-" not in server.heads[0].lower()


async def test_redirects_end_where_the_guest_said(server: RawServer) -> None:
    server.answer = redirect("/again")
    async with egress() as client:
        status, _, _ = await fetch(client, f"http://api.test:{server.port}/", redirects=3)

    assert (status, len(server.heads)) == (302, 4)


async def test_a_slow_drip_ends_with_the_time(server: RawServer) -> None:
    server.answer, server.drip = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nslow", True
    async with egress(timeout_s=0.1) as client:
        code, _ = await refused(client, f"http://api.test:{server.port}/")

    assert code is HostCallCode.TIMEOUT


async def test_a_server_that_says_nothing_ends_with_the_time(server: RawServer) -> None:
    server.answer = None
    async with egress(timeout_s=0.1) as client:
        code, _ = await refused(client, f"http://api.test:{server.port}/")

    assert code is HostCallCode.TIMEOUT


@pytest.mark.parametrize(
    ("head", "repeated"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 10_000),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1_000),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", b"x" * 10_000),
    ],
)
async def test_an_endless_body_ends_at_the_limit(server: RawServer, head: bytes, repeated: bytes) -> None:
    server.answer, server.repeated = head, repeated
    async with egress(response_bytes=50_000) as client:
        code, text = await refused(client, f"http://api.test:{server.port}/")

    assert code is HostCallCode.TOO_LARGE
    assert text == "The answer of api.test is larger than 50000 bytes."


@pytest.mark.parametrize("repeated", [b"x-a: b\r\n" * 1_000, b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000])
async def test_an_endless_head_is_no_answer(server: RawServer, repeated: bytes) -> None:
    server.answer, server.repeated = b"HTTP/1.1 200 OK\r\n" if b"x-a" in repeated else b"", repeated
    async with egress() as client:
        code, _ = await refused(client, f"http://api.test:{server.port}/")

    assert code is HostCallCode.INTERNAL


async def test_a_bomb_is_not_unpacked(server: RawServer) -> None:
    bomb = gzip.compress(bytes(3_000_000))
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    server.answer = head + bomb
    async with egress(response_bytes=100_000) as client:
        code, text = await refused(client, f"http://api.test:{server.port}/")

    assert (code, text) == (HostCallCode.TOO_LARGE, "The answer of api.test is larger than 100000 bytes.")


async def test_a_packed_body_is_unpacked_and_its_headers_say_so(server: RawServer) -> None:
    packed = gzip.compress(b"hello")
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    server.answer += packed
    async with egress() as client:
        assert await fetch(client, f"http://api.test:{server.port}/") == (200, {}, b"hello")
        raw = await fetch(client, f"http://api.test:{server.port}/", headers=[("Accept-Encoding", "gzip")])

    assert b"\r\naccept-encoding: gzip, deflate\r\n" in server.heads[0]
    assert raw[2] == packed


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked",
        b"content-length: 5\r\ncontent-length: 6",
        b"transfer-encoding: gzip, chunked",
        b"x-folded: a\r\n b",
        b"content-length: +5",
    ],
)
async def test_an_answer_with_two_meanings_is_none(server: RawServer, head: bytes) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nhello"
    async with egress() as client:
        code, _ = await refused(client, f"http://api.test:{server.port}/")

    assert code is HostCallCode.INTERNAL


@pytest.mark.parametrize(
    "header", [("Host", "other.test"), ("transfer-encoding", "chunked"), ("a", "b\r\nc: d")]
)
async def test_a_forged_head_is_not_sent(server: RawServer, header: tuple[str, str]) -> None:
    async with egress() as client:
        code, _ = await refused(client, f"http://api.test:{server.port}/", headers=[header])

    assert (code, server.heads) == (HostCallCode.VALIDATION_FAILED, [])


async def test_a_body_beyond_the_limit_is_not_sent(server: RawServer) -> None:
    async with egress(request_bytes=3) as client:
        code, _ = await refused(client, f"http://api.test:{server.port}/", method="POST", body=b"four")

    assert (code, server.heads) == (HostCallCode.TOO_LARGE, [])


async def test_the_answer_to_head_has_no_body(server: RawServer) -> None:
    async with egress() as client:
        answer = await fetch(client, f"http://api.test:{server.port}/", method="HEAD")

    assert answer == (200, {"content-length": "2"}, b"")


async def test_a_header_that_is_no_text_is_empty(server: RawServer) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nx-name: \xc3\xa4\r\ncontent-length: 0\r\n\r\n"
    async with egress() as client:
        _, headers, _ = await fetch(client, f"http://api.test:{server.port}/")

    assert headers["x-name"] == ""


async def test_a_connection_is_used_for_one_request_alone(server: RawServer) -> None:
    async with egress() as client:
        for _ in range(2):
            await fetch(client, f"http://api.test:{server.port}/")

    assert len(server.heads) == 2
    assert all(b"\r\nconnection: close\r\n" in head for head in server.heads)


@pytest.fixture
def tls(monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's, whose certificate of ``tls.test`` clients of this process accept."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def test_the_certificate_is_that_of_the_name_and_not_of_the_address(tls: ssl.SSLContext) -> None:
    async with listening(RawServer(), tls=tls) as server, egress() as client:
        assert (await fetch(client, f"https://tls.test:{server.port}/"))[0] == 200
        code, text = await refused(client, f"https://other.test:{server.port}/")

    assert (code, text) == (HostCallCode.UNAVAILABLE, "The certificate of other.test is not accepted.")
    assert len(server.heads) == 1


async def test_a_tenant_whose_names_are_never_found_leaves_the_resolver_to_others(server: RawServer) -> None:
    answered = Event()

    def lookup(host: str) -> Sequence[str]:
        if host == "slow.test":
            answered.wait(PATIENCE_S)
        return ["127.0.0.1"]

    client = Egress(ANY, LOOPBACK, resolver=Resolver(lookup, threads=4))
    try:
        async with anyio.create_task_group() as tasks:
            slow = Outgoing("GET", f"http://slow.test:{server.port}/")
            for _ in range(8):
                tasks.start_soon(client.fetch, slow, "slow", monotonic() + PATIENCE_S)
            await anyio.wait_all_tasks_blocked()
            quick = Outgoing("GET", f"http://quick.test:{server.port}/")
            answer = await client.fetch(quick, "quick", monotonic() + PATIENCE_S)
            answered.set()
    finally:
        await client.aclose()

    assert answer.status == 200


async def test_a_request_that_is_cancelled_leaves_no_connection(server: RawServer) -> None:
    server.answer = None
    async with egress() as client, anyio.create_task_group() as tasks:
        silent = Outgoing("GET", f"http://api.test:{server.port}/")
        tasks.start_soon(client.fetch, silent, "tenant", monotonic() + PATIENCE_S)
        await server.asked.wait()
        tasks.cancel_scope.cancel()

    with anyio.fail_after(PATIENCE_S):
        await server.left.wait()


async def test_one_tenant_has_a_share_of_the_connections(server: RawServer) -> None:
    server.answer = None
    async with (
        listening(RawServer()) as quick,
        egress(requests=4) as client,
        anyio.create_task_group() as tasks,
    ):
        silent = Outgoing("GET", f"http://api.test:{server.port}/")
        for _ in range(8):
            tasks.start_soon(client.fetch, silent, "many", monotonic() + PATIENCE_S)
        await anyio.wait_all_tasks_blocked()
        answer = await client.fetch(
            Outgoing("GET", f"http://api.test:{quick.port}/"), "few", monotonic() + PATIENCE_S
        )
        tasks.cancel_scope.cancel()

    assert answer.status == 200


@pytest.mark.parametrize("install_rules", ["https://api.test", "", "not a rule/"])
async def test_an_install_narrows_what_the_deployment_allows(server: RawServer, install_rules: str) -> None:
    async with egress() as client:
        url = f"http://api.test:{server.port}/"
        code, _ = await refused(client, url, install_rules=install_rules)

    assert (code, server.heads) == (HostCallCode.DENIED, [])


async def test_an_install_widens_nothing(server: RawServer) -> None:
    async with egress(rules="http://other.test:*") as client:
        url = f"http://api.test:{server.port}/"
        code, _ = await refused(client, url, install_rules=url)

    assert (code, server.heads) == (HostCallCode.DENIED, [])
