"""A hundred small migrations at once, hostile plugins among them: the good ones all come out right."""

import json
import random
import threading
from pathlib import Path

from server import MIGRATIONS

import oracle
from client import Cut, Failure, Journey, Refused, Sending, Short, Stopped, Stuck, ask, ask_json, lines_of, upload
from server_process import Life
from turn import Turn

#: How many at once, and how many of them have a hostile mapper.
MANY, HOSTILE = 100, 25

#: Limits as short as plugins that never end deserve; one client asks for all of them.
CONFIG = "[plugin]\nbatch_millis = 1500\nnarrowing_millis = 400\n"

#: Hostile mappers, as the tests' own build leaves them; each turns on its host at a record that says `poison`.
GUESTS = [
    "endless-loop",
    "memory-bomb",
    "panics",
    "deep-recursion",
    "floods-log",
    "forger",
    "silent",
    "mismatched",
    "stateful",
]


def guests(folder):
    """Files of hostile mappers, by name."""
    found = {}
    for name in GUESTS:
        files = sorted(
            Path(folder).glob(f"sluice-tests-*/out/sluice-guest-{name}.wasm"), key=lambda file: file.stat().st_mtime
        )
        if files:
            found[name] = files[-1]
    return found


class Crowd(Turn):
    """All of them on one server."""

    def run(self, seed, banks, hostile):
        """Runs them all, and compares each of the good ones."""
        chance = random.Random(f"{seed}:{self.part}:{self.turn}")
        self.directory = self.place.fresh("crowd")
        with Life(self.place.binary, self.directory, config=CONFIG) as life:
            pushed = {}
            for name, file in hostile.items():
                try:
                    headers = {"Content-Type": "application/wasm"}
                    pushed[name] = json.loads(ask(life, "POST", "/plugins", file.read_bytes(), headers))["digest"]
                except Refused as refused:
                    self.account.note(f"the hostile plugin {name} is not taken: {refused.code}")
            good, threads = [], []
            for number in range(MANY):
                mine = random.Random(chance.random())
                if pushed and number % MANY < HOSTILE:
                    name = list(pushed)[number % len(pushed)]
                    work = (self.bad, (life, name, pushed[name], mine))
                else:
                    books, reference = banks.get(40, number % 2)
                    good.append((Journey(books, mine), reference))
                    work = (self.good, (life, good[-1][0]))
                threads.append(threading.Thread(target=work[0], args=work[1], daemon=True))
            chance.shuffle(threads)
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for journey, reference in good:
                if not journey.done():
                    continue
                for kind, words in oracle.whole(oracle.Seen.read(life, journey), journey, reference):
                    self.found(kind, f"in a crowd: {words}")
                self.account.add("migrations brought to verified counts")
                self.account.add("records sent", journey.sent)
                self.account.add("results acknowledged", journey.results)
            twice = oracle.repeated_rows(life.target)
            if twice:
                self.found("duplicated", f"{twice} rows of the target have a reference id that another row has")
            self.account.add("migrations with hostile plugins", MANY - len(good))

    def good(self, life, journey):
        """An honest migration, from its beginning to its end."""
        try:
            journey.go(life)
        except (Stuck, Short, Refused, Stopped, Failure, Cut) as failure:
            self.found("stuck" if isinstance(failure, Stuck) else "wrong", f"in a crowd, {journey.step}: {failure}")

    def bad(self, life, name, digest, chance):
        """A migration whose mapper turns on its host now and then: every record has a result, and all are kept."""
        number, many, heard = chance.randrange(10**6), chance.randint(5, 200), []
        poisoned = set(chance.sample(range(many), min(2, many)))
        lines = [
            json.dumps({"client_id": number + at, **({"poison": True} if at in poisoned else {})}).encode()
            for at in range(many)
        ]
        body = b"\n".join(lines) + b"\n"
        try:
            migration = ask_json(life, "POST", MIGRATIONS, {"components": ["Counterparties"], "mapper": digest})[
                "referenceId"
            ]
            path = f"{MIGRATIONS}/{migration}"
            upload(life, f"{path}/sources/client", Sending([body], len(body)), heard.append)
            there = lines_of(life, f"{path}/sources/client/records")
            mapped = sum(result["isSuccessful"] for result in heard)
            if len(heard) != many:
                self.found(
                    "false success", f"{name}: {len(heard)} results for {many} records, and the answer ended well"
                )
            if sorted(there) != sorted(lines):
                self.found("lost", f"{name}: {len(there)} of {many} records are kept")
            self.account.add("records of hostile plugins that were mapped", mapped)
            self.account.add("records of hostile plugins that were told to be wrong", len(heard) - mapped)
            job = ask_json(life, "PUT", f"{path}/jobs/import")
            self.found("false success", f"{name}: an import by a plugin that nobody has approved has begun [{job}]")
        except Stopped as stopped:
            self.account.note(f"an upload through {name} is stopped: {stopped.code}")
        except Refused as refused:
            if refused.status >= 500:
                self.found("wrong", f"{name}: {refused}")
            elif refused.code != "PLUGIN_NOT_APPROVED":
                self.account.note(f"hostile: {refused.code}")
        except Cut as cut:
            self.found("wrong", f"{name}: {cut}")


def run(account, place, banks, seed, turns, out_of_time, only=None):
    """Some turns."""
    hostile = guests(place.guests)
    if not hostile:
        account.skip("hostile plugins", "they are built with the tests: `cargo test --workspace --no-run`")
    for turn in [only] if only is not None else range(max(1, turns // 50)):
        if out_of_time():
            break
        Crowd("crowd", turn, account, place).run(seed, banks, hostile)
        account.add("turns of a crowd")
    place.remove("crowd")
