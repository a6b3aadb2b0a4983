"""Single settings in other people's files."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.somos.infra.plugins.module_utils._file_settings import edit


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("UMASK\t\t022\n", "UMASK 027\n"),
        ("# UMASK 022\nOTHER 1\n", "UMASK 027\nOTHER 1\n"),
        ("#UMASK 022\nUMASK 077\nUMASK 000\n", "#UMASK 022\nUMASK 027\n"),
        ("OTHER 1\n", "OTHER 1\nUMASK 027\n"),
        ("UMASK_OTHER 1\n", "UMASK_OTHER 1\nUMASK 027\n"),
        ("# UMASK is for all\n", "# UMASK is for all\nUMASK 027\n"),
    ],
)
def test_a_setting_takes_the_place_its_packager_gave_it(before: str, after: str) -> None:
    assert edit(before, {"settings": {"UMASK": "027"}}) == after
    assert edit(after, {"settings": {"UMASK": "027"}}) == after


def test_the_assignment_is_the_file_s_own() -> None:
    assert edit("# INACTIVE=-1\n", {"assignment": "=", "settings": {"INACTIVE": 45}}) == "INACTIVE=45\n"


SU = {
    "lines": [
        {
            "match": r"^\s*(# *)?auth\s+required\s+pam_wheel\.so(\s+use_uid group=\S+)?\s*$",
            "line": "auth required pam_wheel.so use_uid group=sugroup",
        }
    ]
}


def test_a_line_is_put_where_the_file_suggests_it() -> None:
    before = (
        "auth sufficient pam_rootok.so\n# auth       required   pam_wheel.so\n"
        "# auth required pam_wheel.so deny group=nosu\n"
    )
    after = edit(before, SU)
    assert after.splitlines()[1] == "auth required pam_wheel.so use_uid group=sugroup"
    assert after.splitlines()[2] == "# auth required pam_wheel.so deny group=nosu"
    assert edit(after, SU) == after


def test_a_word_goes_and_its_line_stays() -> None:
    spec: dict[str, Any] = {"without": [{"match": r"pam_unix\.so", "word": "nullok"}]}
    before = "auth [success=1 default=ignore] pam_unix.so nullok\nauth required pam_x.so nullok\n"
    after = "auth [success=1 default=ignore] pam_unix.so\nauth required pam_x.so nullok\n"
    assert edit(before, spec) == edit(after, spec) == after
    assert edit("auth pam_unix.so nullok_secure\n", spec) == "auth pam_unix.so nullok_secure\n"
