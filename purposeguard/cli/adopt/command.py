"""The group of commands `purposeguard adopt`."""

from __future__ import annotations

from purposeguard.cli.adopt.apply import apply
from purposeguard.cli.adopt.evidence import evidence
from purposeguard.cli.adopt.propose import propose
from purposeguard.cli.adopt.run import run
from purposeguard.cli.adopt.scan import scan
from purposeguard.cli.adopt.status import status
from purposeguard.cli.options import ending, group

adopt_app = group("Bring an existing code base under its notice: observe it, propose purposes, enforce step by step.")
adopt_app.command("scan", epilog="Exit codes: 0 printed or written, 1 an entry of tags.toml is wrong, 2 bad input.")(
    ending(scan)
)
adopt_app.command(
    "run",
    epilog="Exit codes: that of the command; 2 bad input.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
)(ending(run))
adopt_app.command("evidence", epilog="Exit codes: 0 printed, 2 bad input.")(ending(evidence))
adopt_app.command("propose", epilog="Exit codes: 0 printed or written, 2 bad input.")(ending(propose))
adopt_app.command(
    "status", epilog="Exit codes: 0 printed, 1 too little (--fail-under) or a new violation (--new), 2 bad input."
)(ending(status))
adopt_app.command(
    "apply", epilog="Exit codes: 0 printed or written, 1 files would change (--diff, --check), 2 bad input."
)(ending(apply))
