"""Secrets are hidden wherever they stand in a sentence or in settings, and nothing else is."""

import logging

import pytest

from crawl2chat import logs
from crawl2chat.secrets import redacted, secret_keys, without_secrets

SECRET = "Zq8sEcReT17"


@pytest.mark.parametrize(
    "text",
    [
        f"https://me:{SECRET}@host.example/x cannot be read",
        f"postgresql://mlflow:{SECRET}/9@db:5432/mlflow",
        f"https://host/x.gz?X-Amz-Expires=60&X-Amz-Signature={SECRET}&x=1",
        f"https://account.blob/x?sv=2024&sig={SECRET}",
        f"AWS_SECRET_ACCESS_KEY={SECRET} was refused",
        f"{{'password': '{SECRET}', 'user': 'me'}}",
        "key AKIAIOSFODNN7EXAMPLE is unknown",
        "hf_abcdefghijklmnopqrstuvwxyzabcdefgh",
    ],
)
def test_a_secret_in_a_sentence_is_hidden(text: str) -> None:
    hidden = redacted(text)
    assert "***" in hidden
    assert not any(secret in hidden for secret in (SECRET, "AKIAIOSFODNN7EXAMPLE", "hf_abc"))


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/a@b",
        "s3://bucket/crawl=CC-MAIN-2024-10/warc.paths.gz",
        "token: <|user|>, max_new_tokens=32, tokens 1,024",
        "step 3 of 12 · loss 0.4 · 5 min left",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_settings_hide_what_stands_under_the_name_of_a_secret() -> None:
    settings = {
        "s3": {"key": SECRET, "secret": SECRET, "anon": True},
        "paths": [f"ftp://me:{SECRET}@host/x"],
    }
    assert without_secrets(settings) == {
        "s3": {"key": "***", "secret": "***", "anon": True},
        "paths": ["ftp://me:***@host/x"],
    }
    assert secret_keys(settings) == ["s3.key", "s3.secret", "paths.0"]


def test_no_message_shows_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logging.getLogger("crawl2chat.x").error("s3://me:%s@host is refused", SECRET)
    assert capsys.readouterr().err == "error: s3://me:***@host is refused\n"
