"""botocore signs, we verify; then we change what was signed."""

import hashlib
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from wherry.model.call import Principal
from wherry.wire import sigv4
from wherry.wire.message import Request
from wherry.wire.sigv4 import Reason, Secret, SignatureError

KEY = "AKIDEXAMPLE"
ANN = Principal(account_id="123456789012", arn="arn:aws:iam::123456789012:user/ann", access_key_id="AKIAEXAMPLE")
SECRET = Secret(secret_access_key="wJalrXUtnFEMI/K7MDENG", principal=ANN)
TEMPORARY = msgspec.structs.replace(SECRET, session_token="the/token+of=session")
HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListClusters",
}


def signed(
    signer=SigV4Auth,
    *,
    method="POST",
    url="http://localhost:4566/",
    headers=HEADERS,
    body=b"{}",
    secret=SECRET,
    region="us-east-1",
    service="ecs",
    **options,
):
    """A request that botocore signed, as the server sees it."""
    credentials = Credentials(KEY, secret.secret_access_key, secret.session_token)
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    signer(credentials, service, region, **options).add_auth(request)
    prepared = request.prepare()
    split = urlsplit(prepared.url)
    sent = prepared.body or b""
    return Request(
        method=method,
        path=split.path,
        query=split.query,
        headers=(
            ("host", split.netloc),
            *(
                (name.lower(), value if isinstance(value, str) else value.decode())
                for name, value in prepared.headers.items()
            ),
        ),
        body=sent.encode() if isinstance(sent, str) else sent,
    )


def proven(request, *, secret=SECRET, after=0.0, region="us-east-1", service="ecs", unsigned_payload=False):
    claim = sigv4.read(request)
    return sigv4.verify(
        request,
        claim,
        secret=secret,
        region=region,
        service=service,
        now=claim.signed_at + after,
        unsigned_payload=unsigned_payload,
    )


def reason_of(request, **options):
    with pytest.raises(SignatureError) as caught:
        proven(request, **options)
    return caught.value.reason


def with_header(request, name, value):
    kept = tuple((key, old) for key, old in request.headers if key != name)
    return msgspec.structs.replace(request, headers=(*kept, *([(name, value)] if value is not None else [])))


def test_a_signed_header_request_is_proven():
    assert proven(signed()) is SECRET


def test_a_presigned_request_is_proven():
    url = "http://localhost:4566/?Action=GetCallerIdentity&Version=2011-06-15"
    request = signed(SigV4QueryAuth, method="GET", url=url, headers={}, body=b"", service="sts")
    assert proven(request, service="sts") is SECRET


def test_a_session_token_is_part_of_the_key():
    assert proven(signed(secret=TEMPORARY), secret=TEMPORARY) is TEMPORARY
    presigned = signed(SigV4QueryAuth, method="GET", headers={}, body=b"", secret=TEMPORARY)
    assert proven(presigned, secret=TEMPORARY) is TEMPORARY
    other = msgspec.structs.replace(TEMPORARY, session_token="another")
    assert reason_of(signed(secret=other), secret=TEMPORARY) is Reason.UNKNOWN_KEY
    assert reason_of(signed(), secret=TEMPORARY) is Reason.UNKNOWN_KEY
    assert reason_of(signed(secret=TEMPORARY), secret=SECRET) is Reason.UNKNOWN_KEY


def test_an_unknown_key_is_refused():
    assert reason_of(signed(), secret=None) is Reason.UNKNOWN_KEY


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(st.text(min_size=1, max_size=6), st.text(max_size=6)), max_size=5, unique_by=lambda p: p[0]
    ),
    body=st.binary(max_size=64),
    values=st.lists(st.text("abc  \t", max_size=9), max_size=3),
    path=st.text("ab/. %~é", max_size=12),
)
def test_whatever_is_signed_is_canonical_in_the_same_way(pairs, body, values, path):
    headers = {**HEADERS, **{f"X-Extra-{number}": f"v{value}v" for number, value in enumerate(values)}}
    query = urlencode(
        [(name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in pairs], quote_via=quote
    )
    url = f"http://localhost:4566/{quote(path.lstrip('/'))}?{query}"
    assert proven(signed(url=url, headers=headers, body=body)) is SECRET


def test_repeated_headers_and_parameters_are_signed_in_order():
    request = signed(url="http://localhost:4566/?b=2&a=z&a=b&a")
    assert proven(request) is SECRET
    assert proven(msgspec.structs.replace(request, query="a=b&b=2&a=&a=z")) is SECRET
    assert reason_of(msgspec.structs.replace(request, query="a=b&b=2&a=z")) is Reason.MISMATCH


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/other"},
        {"query": "x=1"},
        {"body": b'{"cluster":"other"}'},
    ],
)
def test_a_change_of_any_signed_part_is_seen(change):
    assert reason_of(msgspec.structs.replace(signed(), **change)) is Reason.MISMATCH


def test_a_change_of_a_signed_header_is_seen():
    assert reason_of(with_header(signed(), "host", "elsewhere")) is Reason.MISMATCH
    target = "AmazonEC2ContainerServiceV20141113.DeleteCluster"
    assert reason_of(with_header(signed(), "x-amz-target", target)) is Reason.MISMATCH


def test_every_amazon_header_must_be_signed():
    assert reason_of(with_header(signed(), "x-amz-extra", "1")) is Reason.MISMATCH


def test_another_secret_is_seen():
    other = msgspec.structs.replace(SECRET, secret_access_key="other")
    assert reason_of(signed(), secret=other) is Reason.MISMATCH


def test_region_and_service_of_the_scope_are_checked():
    assert reason_of(signed(region="eu-west-1")) is Reason.MISMATCH
    assert reason_of(signed(service="ec2")) is Reason.MISMATCH


@pytest.mark.parametrize("after", [-299.0, 0.0, 299.0])
def test_clocks_may_differ_by_five_minutes(after):
    assert proven(signed(), after=after) is SECRET


@pytest.mark.parametrize(("after", "text"), [(-301.0, "not yet current"), (301.0, "expired")])
def test_clocks_may_not_differ_more(after, text):
    with pytest.raises(SignatureError, match=text) as caught:
        proven(signed(), after=after)
    assert caught.value.reason is Reason.MISMATCH


def test_a_presigned_request_lives_as_long_as_it_says():
    request = signed(SigV4QueryAuth, method="GET", headers={}, body=b"", expires=900)
    assert proven(request, after=899.0) is SECRET
    assert reason_of(request, after=901.0) is Reason.EXPIRED
    assert reason_of(request, after=-301.0) is Reason.MISMATCH


def test_the_said_hash_of_the_body_must_be_its_hash():
    said = hashlib.sha256(b"{}").hexdigest()
    assert proven(signed(headers={**HEADERS, "X-Amz-Content-SHA256": said})) is SECRET
    lie = hashlib.sha256(b"other").hexdigest()
    assert reason_of(signed(headers={**HEADERS, "X-Amz-Content-SHA256": lie})) is Reason.MISMATCH


def test_an_unsigned_payload_needs_an_operation_that_allows_it():
    request = signed(headers={**HEADERS, "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    assert reason_of(request) is Reason.MISMATCH
    assert proven(request, unsigned_payload=True) is SECRET


def test_no_signature_is_missing():
    assert reason_of(Request(method="POST", path="/")) is Reason.MISSING


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer abc",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a/20200101/r/s/aws4_request, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 Credential=a/20200101/r/s/aws4_request, SignedHeaders=date, Signature=0",
        "AWS4-HMAC-SHA256 Credential=a/20200101/r/s/aws4_request, SignedHeaders=host;date, Signature=0",
        "AWS4-HMAC-SHA256 Credential=a\udcff/20200101/r/s/aws4_request, SignedHeaders=host, Signature=0",
        "AWS3 Credential=a/20200101/r/s/aws4_request, SignedHeaders=host, Signature=0",
    ],
)
def test_an_unreadable_signature_is_incomplete(header):
    request = Request(
        method="POST", path="/", headers=(("authorization", header), ("host", "h"), ("x-amz-date", "20200101T000000Z"))
    )
    assert reason_of(request) is Reason.INCOMPLETE


@pytest.mark.parametrize(
    "stamp", [None, "", "2020", "20209999T000000Z", "20200101T0000Z", "\u0662\u06600200101T00000Z"]
)
def test_a_signature_needs_a_date(stamp):
    assert reason_of(with_header(signed(), "x-amz-date", stamp)) is Reason.INCOMPLETE


def test_the_date_header_will_do():
    assert proven(signed(headers={**HEADERS, "Date": "Mon, 01 Jan 2024 00:00:00 GMT"})) is SECRET


def test_two_signatures_are_one_too_many():
    request = signed()
    twice = msgspec.structs.replace(request, headers=(*request.headers, ("authorization", "x")))
    assert reason_of(twice) is Reason.INCOMPLETE
    both = msgspec.structs.replace(request, query="X-Amz-Signature=0")
    assert reason_of(both) is Reason.INCOMPLETE


@pytest.mark.parametrize("expires", [0, 604801, -5, "x", "9" * 5000])
def test_expires_is_at_most_a_week(expires):
    request = signed(SigV4QueryAuth, method="GET", headers={}, body=b"", expires=expires)
    assert reason_of(request) is Reason.INCOMPLETE


@settings(max_examples=300, deadline=None)
@given(
    header=st.none() | st.text(max_size=60) | st.text("AWS4-HMAC-SHA256 Credential=,/;Signature20", max_size=99),
    query=st.text("X-Amz-SignatureCredential=&%f/20+", max_size=80),
    date=st.none() | st.text(max_size=20),
)
def test_nothing_but_a_signature_error_comes_of_garbage(header, query, date):
    headers = [("host", "h")]
    headers += [("authorization", header)] if header is not None else []
    headers += [("date", date)] if date is not None else []
    request = Request(method="GET", path="/", query=query, headers=tuple(headers))
    sigv4.scope_of(request)
    with pytest.raises(SignatureError):
        sigv4.verify(request, sigv4.read(request), secret=SECRET, region="r", service="s", now=0.0)


def test_a_secret_does_not_tell():
    for text in (repr(TEMPORARY), str(TEMPORARY), f"{[TEMPORARY]}", pretty_repr(TEMPORARY)):
        assert TEMPORARY.secret_access_key not in text
        assert TEMPORARY.session_token not in text


def test_the_reader_of_scopes_takes_what_it_can():
    assert sigv4.scope_of(signed(service="sts")) == (KEY, "sts")
    assert sigv4.scope_of(signed(SigV4QueryAuth, method="GET", headers={}, body=b"")) == (KEY, "ecs")
    broken = Request(method="POST", path="/", headers=(("authorization", "Credential=AK/20200101/r/ec2/aws4_request"),))
    assert sigv4.scope_of(broken) == ("AK", "ec2")
    assert sigv4.scope_of(Request(method="POST", path="/")) == ("", "")
