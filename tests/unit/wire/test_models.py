"""Services are known by the beginning of their models, and the rest is read when it is needed."""

from __future__ import annotations

import pytest
from botocore.session import get_session

from wherry.api.table import TABLES
from wherry.wire import models
from wherry.wire.models import Catalog, load


@pytest.fixture(autouse=True)
def _anew():
    load.cache_clear()
    yield
    load.cache_clear()


@pytest.mark.parametrize("service_id", [*TABLES, "sqs", "kms"])
def test_the_beginning_of_a_file_says_what_the_whole_says(service_id: str) -> None:
    assert models._metadata(service_id) == dict(get_session().get_service_model(service_id).metadata)


def test_a_file_that_begins_otherwise_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "HEAD", 10)
    assert models._metadata("sts")["endpointPrefix"] == "sts"


def test_no_model_is_read_before_its_service_is_called() -> None:
    catalog = Catalog(TABLES)
    assert catalog.by_target("AmazonSSM.GetParameter").service.id == "ssm"
    assert catalog.by_action("GetUser", version=None, signing_name="iam").service.id == "iam"
    assert catalog.by_action("DescribeVpcs", version="2016-11-15", signing_name=None).service.id == "ec2"
    assert [service_id for service_id, service in catalog.services.items() if "model" in vars(service)] == []


def test_a_form_that_nobody_has_signed_goes_to_whoever_has_the_action() -> None:
    catalog = Catalog(TABLES)
    assert catalog.by_action("GetCallerIdentity", version=None, signing_name="").service.id == "sts"
    assert catalog.by_action("DescribeVpcs", version="no", signing_name="no").service.id == "ec2"
    assert catalog.by_action("NoSuchAction", version=None, signing_name=None) is None
    # The scope of a signature decides, even about an action that the service does not have.
    assert catalog.by_action("DescribeVpcs", version="2016-11-15", signing_name="iam").service.id == "iam"
