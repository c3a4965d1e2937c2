"""Settings from the environment."""

from pathlib import Path

import pytest

from bottega.core.errors import InvalidValue
from bottega.settings import Settings


def test_folders_follow_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BOTTEGA_HOME", str(tmp_path / "weights"))
    monkeypatch.delenv("BOTTEGA_STATE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    settings = Settings()
    assert settings.home == tmp_path / "weights"
    assert settings.state == tmp_path / "data" / "bottega"


@pytest.mark.parametrize("given", ["x", "0", "-1", "2.5", "99999"])
def test_a_wrong_number_of_threads_names_the_variable(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("BOTTEGA_THREADS", given)
    with pytest.raises(InvalidValue) as caught:
        Settings()
    assert caught.value.where == "BOTTEGA_THREADS"


@pytest.mark.parametrize("given", ["x", "0", "2.5", "3601"])
def test_a_wrong_silence_names_the_variable(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("BOTTEGA_SILENCE", given)
    with pytest.raises(InvalidValue) as caught:
        Settings()
    assert caught.value.where == "BOTTEGA_SILENCE"


def test_a_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOTTEGA_OPENAI_API_KEY", "sk-secret")
    assert "sk-secret" not in repr(Settings())


def test_each_host_has_its_key_and_none_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOTTEGA_OPENAI_API_KEYS", "api.One.example=sk-1, localhost:8000=sk-2==")
    settings = Settings()
    assert settings.openai_api_keys == {"api.one.example": "sk-1", "localhost:8000": "sk-2=="}
    assert "sk-1" not in repr(settings)
    for given in ("sk-1", "=sk-1", "host=", "https://host/v1=sk-1"):
        monkeypatch.setenv("BOTTEGA_OPENAI_API_KEYS", given)
        with pytest.raises(InvalidValue) as caught:
            Settings()
        assert caught.value.where == "BOTTEGA_OPENAI_API_KEYS" and "sk-1" not in str(caught.value)


def test_memory_is_said_with_its_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOTTEGA_MEMORY", raising=False)
    assert Settings().memory == 0
    for given, found in (("800M", 800 << 20), ("6G", 6 << 30)):
        monkeypatch.setenv("BOTTEGA_MEMORY", given)
        assert Settings().memory == found
    for given in ("6", "G", "0G", "-1G", "1.5G"):
        monkeypatch.setenv("BOTTEGA_MEMORY", given)
        with pytest.raises(InvalidValue) as caught:
            Settings()
        assert caught.value.where == "BOTTEGA_MEMORY"
