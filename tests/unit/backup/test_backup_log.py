from __future__ import annotations

import pytest

from somos_backup import log


def test_a_line_says_where_it_belongs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log.say("stored", job="redis", destination="offsite")
    log.say("one\ntwo", job="redis", level=log.ERROR)
    log.say("whole")
    assert capsys.readouterr().err == "redis → offsite: stored\nredis: one\nredis: two\nwhole\n"


def test_the_journal_is_told_how_bad_each_line_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    log.say("one\ntwo", job="redis", level=log.ERROR)
    assert capsys.readouterr().err == "<3>redis: one\n<3>redis: two\n"


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 30, "3.0 GiB"), (5 << 40, "5.0 TiB")]
)
def test_sizes_are_for_a_person(number: int, said: str) -> None:
    assert log.size(number) == said
