"""What a failed scenario says last is what went wrong in it."""

from __future__ import annotations

from tests.host.molecule import reasons

LOG = """\
\x1b[31m\x1b[1mCRITICAL\x1b[0m 'molecule/default/molecule.yml' glob failed.  Exiting.
\x1b[36mINFO    \x1b[0m nginx: Executing
  \x1b[2m│\x1b[0m TASK [Converge] ******
  \x1b[2m│\x1b[0m \x1b[31m[ERROR]: Task failed: nginx says no\x1b[0m
  \x1b[2m│\x1b[0m \x1b[31mfatal: [nginx]: FAILED! => {"msg": "no"}\x1b[0m
  \x1b[2m│\x1b[0m     assert 502 == 200
  \x1b[2m│\x1b[0m E       assert 502 == 200
  \x1b[2m│\x1b[0m FAILED tests/test_nginx.py::test_a - assert 502 == 200
\x1b[31m\x1b[1mCRITICAL\x1b[0m Verifier tests failed
"""


def test_failed_tests_and_tasks_are_named_with_their_words() -> None:
    assert reasons(LOG) == [
        "[ERROR]: Task failed: nginx says no",
        'fatal: [nginx]: FAILED! => {"msg": "no"}',
        "E       assert 502 == 200",
        "FAILED tests/test_nginx.py::test_a - assert 502 == 200",
        "CRITICAL Verifier tests failed",
    ]


def test_a_line_without_end_is_cut() -> None:
    assert [len(line) for line in reasons("fatal: " + "x" * 9000)] == [500]
