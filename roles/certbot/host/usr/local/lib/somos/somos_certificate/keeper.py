"""One look after the certificate, from the authority to the visitor."""

from __future__ import annotations

import fcntl
import time
import traceback
from dataclasses import dataclass, field
from typing import Any

from . import authority, pem, proxy, record, words
from .settings import Settings


@dataclass
class Report:
    """`did`: what was changed, or would be. `good`: whether what visitors are shown is as the inventory wants it."""

    did: list[str] = field(default_factory=list)
    error: str = ""
    good: bool = True

    @property
    def code(self) -> int:
        return 0 if not self.error else 1 if self.good else 2

    def as_dict(self) -> dict[str, Any]:
        return {"changed": bool(self.did), "did": self.did, "error": self.error, "good": self.good}


class Keeper:
    def __init__(self, settings: Settings, dry: bool = False) -> None:
        self.settings, self.dry = settings, dry
        self.lineage = authority.Lineage(settings)
        self.report = Report()

    def run(self, verb: str) -> Report:
        if self.dry:
            return self._run(verb)
        self.settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.settings.state / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                return self._run(verb)
            except Exception as problem:
                # Whatever it is, the monitoring hears of it, and the certificate in service is still the old one.
                traceback.print_exc()
                self._judge([f"The program failed: {type(problem).__name__}: {problem}."])
                return self.report

    def _run(self, verb: str) -> Report:
        if verb == "prepare":
            self._place()
            return self.report
        refusal = self._ask(always=verb == "renew")
        self._place()
        stale = self._serve()
        self._judge([refusal, stale])
        return self.report

    def _ask(self, always: bool) -> str:
        """Ask the authority if that is due. Returns what went wrong, in words for the operator."""
        if not self.settings.acme:
            return ""
        if not self.settings.names:
            return "There is no name to ask a certificate for: no role declares a site on this server."
        reason = authority.due(self.settings, self.lineage, time.time())
        if not (reason or always):
            return ""
        if self.dry:
            self.report.did += [f"ask {self.settings.server} for a certificate: {reason}"] if reason else []
            return ""
        if moved := self.lineage.put_aside():
            self.report.did.append(f"put half a certificate aside, into {moved[0].parent}")
        before = self.lineage.read()
        code, said = authority.ask(self.settings, self.lineage)
        after = self.lineage.read()
        if after and after != before:
            self.report.did.append(
                f"got a certificate from {self.settings.server}, valid until {pem.moment(after.not_after)}"
            )
        return words.explain(said, self.settings) if code else ""

    def _place(self) -> None:
        """Put the best certificate that there is where the proxy reads it."""
        file = self.settings.proxy.file
        current, text = self._current(), self._candidate()
        if text and (current is None or text != file.read_text()):
            self.report.did.append(f"put the certificate into {file}")
        elif current is None:
            self.report.did.append(f"put a self-signed placeholder into {file}")
        else:
            return
        if not self.dry:
            text = text or pem.make_placeholder(self.settings.proxy.names, self.settings.state)
            pem.install(text, file, self.settings.proxy.owner)

    def _current(self) -> pem.Certificate | None:
        try:
            return pem.read(self.settings.proxy.file)
        except pem.UnusableError:
            return None

    def _candidate(self) -> str:
        """The text of the certificate that is to be in service; nothing for the one that already is."""
        if self.settings.method == "own":
            return "" if pem.problem_of_file(self.settings.own, []) else self.settings.own.read_text()
        found = self.lineage.read() if self.settings.acme else None
        if found is None:
            return ""
        current, now = self._current(), time.time()
        wanted = self.lineage.server == self.settings.server and not pem.problem_of(found, self.settings.names, now)
        # Better one that lacks a name than none that anybody accepts.
        needed = current is None or bool(pem.problem_of(current, [], now))
        return self.lineage.text() if wanted or (needed and not pem.problem_of(found, [], now)) else ""

    def _serve(self) -> str:
        """Have the proxy serve what lies on disk; it is told only if it does not. Returns what went wrong."""
        current = self._current()
        if current is None or not self.settings.proxy.names:
            return ""
        shown = proxy.served(self.settings)
        if shown == current.digest:
            return ""
        if self.dry:
            self.report.did += [f"reload {self.settings.proxy.service}"] if shown else []
            return ""
        try:
            proxy.reload(self.settings, current.digest)
        except proxy.StaleError as stale:
            return f"The certificate on disk is not the one that is served: {stale}."
        self.report.did.append(f"reloaded {self.settings.proxy.service}")
        return ""

    def _judge(self, problems: list[str]) -> None:
        """Say how things stand, to the caller and to the monitoring."""
        now, current = time.time(), self._current()
        names = self.settings.proxy.names
        shown = proxy.served(self.settings) if names else None
        problem = pem.problem_of(current, names, now) if current else "there is none"
        if self.settings.method == "self_signed" and current and current.placeholder:
            problem = ""
        on_disk = current is not None and shown == current.digest
        self.report.good = not problem and (on_disk or not names)
        errors = list(filter(None, problems))
        if problem and not errors and not self.dry:
            errors = [f"The certificate in {self.settings.proxy.file} is not what visitors need: {problem}."]
        if errors:
            self.report.error = words.with_what_now(errors, self.report.good, current, problem)
        if not self.dry:
            self._record(now, current, on_disk)

    def _record(self, now: float, current: pem.Certificate | None, on_disk: bool) -> None:
        before = record.read(self.settings.state)
        success = now if not self.report.error else before.get("last_success", 0)
        record.write(self.settings.state, {"last_success": success, "last_attempt": now, "error": self.report.error})
        if self.settings.metrics is None:
            return
        values = {
            "somos_certificate_served": float(on_disk),
            "somos_certificate_last_renewal_success": float(not self.report.error),
            "somos_certificate_last_attempt_timestamp_seconds": now,
            "somos_certificate_last_success_timestamp_seconds": success,
        }
        if current:
            values["somos_certificate_not_before_timestamp_seconds"] = current.not_before
            values["somos_certificate_not_after_timestamp_seconds"] = current.not_after
            values["somos_certificate_placeholder"] = float(current.placeholder)
        record.replace(self.settings.metrics / record.FILE, record.metrics(values), 0o644)
