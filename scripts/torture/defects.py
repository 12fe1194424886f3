"""Servers with one deliberate defect each: every one of them has to be found, or the torture proves nothing."""

import contextlib

import damage
import kills
import powercuts
from report import Account
from server_process import Place
from syscalls import CATALOGUE, JOURNAL, TARGET, Fault, available

#: Turns, or kills, after which a defect counts as not found; each is found within the first few.
MOST_TURNS = 200

#: By which a binary that can be told of a defect is known, and what tells it.
DOOR = "SLUICE_DEFECT"


def skipping(files):
    """Does to a running server that each fsync of these files is skipped, and said to have succeeded."""

    @contextlib.contextmanager
    def defect(life, journeys):
        for journey in journeys:
            if journey.id is None:
                journey.register(life)
        paths = [life.data_dir / file.format(id=journey.id) for file in files for journey in journeys]
        out = life.data_dir.with_suffix(".strace")
        fault = Fault(life.pid, "fsync,fdatasync", "retval=0", "1+", paths, out)
        try:
            yield
        finally:
            fault.end()
            out.unlink(missing_ok=True)

    return defect


#: Each defect: what it is, whether it is done to a server from outside, or the name by which one is told, and who is to
#: find it.
DEFECTS = [
    ("each fsync of the journal is skipped", skipping(JOURNAL), powercuts),
    ("each fsync of the target is skipped", skipping(TARGET), powercuts),
    ("each fsync of the catalogue is skipped", skipping(CATALOGUE), powercuts),
    ("an import's position is one record too far", "position-ahead", kills),
    ("what a crash left at the journal's end is not cut off", "torn-tail", damage),
]


def told(place, binary, name):
    """A place whose servers have been told of this defect, beside one whose servers are sound."""
    beside = Place(place.binary, place.folder / name)
    beside.folder.mkdir()
    beside.binary, beside.compiled = beside.folder / "server", place.compiled
    beside.binary.write_text(f'#!/bin/sh\n{DOOR}={name} exec "{binary.resolve()}" "$@"\n')
    beside.binary.chmod(0o755)
    return beside


def quiet(account):
    """An account of its own for what a defect is to be found by."""
    inner = Account(account.command, account.folder / "defects")
    inner.say = lambda words: None
    return inner


def run(account, place, banks, seed, binary):
    """Each defect in turn, until it is found or so many turns are done; whether all were found.

    What finds a defect has to find nothing in the same turn of a sound server.
    """
    if DOOR.encode() in place.binary.read_bytes():
        account.found("unclear", "defects", 0, f"{place.binary} is not to know of {DOOR}, and does")
    for words, how, part in DEFECTS:
        if callable(how) and available():
            account.skip(words, available())
            continue
        inner, control = quiet(account), quiet(account)
        enough = lambda: bool(inner.findings or inner.skipped)
        if callable(how):
            part.run(inner, place, banks, seed, MOST_TURNS, enough, defect=how)
        else:
            part.run(inner, told(place, binary, how), banks, seed, MOST_TURNS, enough)
        name = part.__name__
        if inner.findings:
            kind, _, turn, said, _ = inner.findings[0]
            account.say(f"{words}: found by {name} after {turn + 1} turns: {kind}: {said.partition(' [')[0]}")
            account.add("deliberate defects that were found")
            part.run(control, place, banks, seed, 1, lambda: bool(control.findings), turn)
            for kind, _, turn, said, _ in control.findings:
                account.found(kind, name, turn, f"{words}: a sound server is found to be wrong as well: {said}")
        elif inner.skipped:
            for what, why in inner.skipped.items():
                account.skip(f"{words}: {what}", why)
        else:
            account.found("unclear", name, 0, f"{words}, and nobody notices")
    return account.kept()
