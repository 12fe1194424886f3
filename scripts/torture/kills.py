"""A server killed at random moments of its work, and a careful client that goes on: nothing lost, nothing twice."""

import random
import threading
import time

from server import MIGRATIONS, Failed

import oracle
from client import Cut, Failure, Journey, Refused, Short, Stopped, Stuck, ask_json
from dataset import Books
from server_process import Life

#: Rounds for which a data directory is kept, so that starts stay quick.
ROUNDS_A_DIRECTORY = 10

#: Moments that a kill can be tied to, and how often; the rest come at any time after the start.
MOMENTS = [
    "register",
    "load",
    "load",
    "load",
    "result",
    "result",
    "validate",
    "validate",
    "import",
    "import",
    "import",
    "counts",
]

#: Sizes of banks in customers, and how often; the largest has more records of a table than an index holds in memory.
SIZES = [(40, 8), (200, 8), (700, 4), (6_500, 0.25)]


#: Many small batches and transactions are many moments between two of them.
SMALL = "[upload]\nbatch_records = 20\n[import]\ntransaction_records = 40\n"


class Reaper:
    """Kills a server at a moment that chance has chosen."""

    def __init__(self, life, chance, usual):
        self.life, self._lock, self.fired = life, threading.Lock(), threading.Event()
        self.moment = chance.choice(MOMENTS) if chance.random() < 0.8 else None
        self.after = chance.choice([0, 0, 0, 1, 2, 5])
        # Close to the beginning of something as often as anywhere in it.
        usually = usual.get(self.moment, 0.5)
        self.delay = chance.uniform(0, 0.02) if chance.random() < 0.5 else chance.uniform(0, usually * 1.2)
        self.told = f"{self.moment or 'any time'}+{self.delay * 1000:.1f} ms"
        if self.moment is None:
            self._begin(chance.uniform(0, 1.0))

    def hit(self, moment):
        """Something begins."""
        with self._lock:
            if moment != self.moment or self.fired.is_set():
                return
            if moment in ("load", "result") and self.after:
                self.after -= 1
                return
            self.moment = ""
        self._begin(self.delay)

    def _begin(self, delay):
        threading.Thread(target=self._kill, args=(delay,), daemon=True).start()

    def _kill(self, delay):
        time.sleep(delay)
        self.now()

    def now(self):
        """Kills it, once."""
        with self._lock:
            if self.fired.is_set():
                return
            self.fired.set()
        self.life.kill()


class Banks:
    """The banks of a run, each with what an undisturbed migration of it comes to."""

    def __init__(self, place, seed):
        self.place, self.seed = place, seed
        self._known, self._lock = {}, threading.Lock()

    def get(self, customers, variant=0):
        """Books, and the reference."""
        with self._lock:
            if (customers, variant) not in self._known:
                books = Books(customers, self.seed * 100 + variant)
                with Life(self.place.binary, self.place.fresh("undisturbed")) as life:
                    journey = Journey(books, random.Random(0))
                    journey.go(life)
                    seen = oracle.Seen.read(life, journey)
                reference = oracle.Reference(seen, journey)
                wrong = oracle.whole(seen, journey, reference)
                if wrong or not reference.many:
                    raise Failed(f"an undisturbed migration does not come out right: {wrong}")
                self._known[customers, variant] = books, reference
            return self._known[customers, variant]


def draw_size(chance):
    """How many customers a bank has."""
    return chance.choices([size for size, _ in SIZES], [weight for _, weight in SIZES])[0]


class Round:
    """Some migrations on one server, and the kills on their way."""

    #: What is done to the server, once and often.
    ENDING, ENDINGS = "kill", "kills"

    def __init__(self, part, turn, account, place, banks, seed, usual):
        self.part, self.turn, self.account, self.place, self.usual = part, turn, account, place, usual
        self.chance = random.Random(f"{seed}:{part}:{turn}")
        self.kills = self.chance.randint(3, 7)
        size = draw_size(self.chance)
        together = 1 if size > 1_000 else self.chance.choice([1, 1, 1, 2, 3])
        self.journeys, self.references = [], []
        for _ in range(together):
            books, reference = banks.get(size, self.chance.randrange(2))
            self.journeys.append(Journey(books, random.Random(self.chance.random())))
            self.references.append(reference)
        self.broken = set()
        self.directory = None
        # Half of them, without a change in what else chance chooses.
        small = random.Random(f"{seed}:{part}:{turn}:transactions").random() < 0.5
        self.config = SMALL if small else ""

    def found(self, kind, words):
        """Notes a finding and keeps the directory."""
        self.account.found(kind, self.part, self.turn, words)
        try:
            self.place.keep(self.directory.name, f"{self.part}-{self.turn}-{len(self.account.findings)}")
        except OSError:
            pass

    def run(self, data_dir):
        """Goes through it; the data directory is left to the next one."""
        self.directory = data_dir
        left = self.kills
        while True:
            life = self.start()
            if life is None:
                return False
            try:
                self.check_durable(life)
                if left == 0:
                    self.finish(life)
                    return True
                left -= 1
                self.go(life, self.reaper(life))
            finally:
                if not life.killed:
                    life.stop()

    def life(self, **how):
        """A server on the directory as the last one left it."""
        return Life(self.place.binary, self.directory, config=self.config, **how)

    def reaper(self, life):
        """Who ends it."""
        return Reaper(life, self.chance, self.usual)

    def start(self):
        """A server that has started by itself; it may be killed in the middle of that."""
        while self.chance.random() < 0.12:
            self.life(kill_after=self.chance.uniform(0, self.usual.get("start", 0.6)))
            self.account.add(self.ENDINGS)
            self.account.add(f"{self.ENDINGS} while it started")
        try:
            life = self.life()
        except Failed as failure:
            self.found("no start", f"the server does not start again [{failure}]")
            return None
        self.account.add("restarts")
        self.account.top("longest restart", life.start_seconds)
        return life

    def go(self, life, reaper):
        """Lets everybody go on until the server is killed."""
        threads = []
        for number, journey in enumerate(self.journeys):
            if number in self.broken:
                continue
            journey.hit = self.timed(journey, reaper)
            threads.append(threading.Thread(target=self.one, args=(number, journey, life, reaper), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        reaper.now()
        life.process.wait()
        self.account.add(self.ENDINGS)
        self.account.add(f"{self.ENDINGS} at {reaper.told.partition('+')[0]}")

    def timed(self, journey, reaper):
        """Tells the reaper what begins, and learns how long things usually take."""
        last = [None, 0.0]

        def hit(moment):
            now = time.monotonic()
            if last[0]:
                self.usual[last[0]] = self.usual.get(last[0], 0.3) * 0.8 + min(now - last[1], 3) * 0.2
            last[:] = moment, now
            reaper.hit(moment)

        return hit

    def one(self, number, journey, life, reaper):
        """One migration, until its end or the server's."""
        try:
            journey.go(life)
        except Cut as cut:
            # The server is about to be killed, or was.
            if not reaper.fired.wait(3):
                self.broken.add(number)
                self.found("wrong", f"a connection broke and nobody killed the server [{cut}]")
        except Stuck as stuck:
            self.broken.add(number)
            self.found("stuck", f"{journey.step}: {stuck}")
        except Short as short:
            self.broken.add(number)
            self.found("false success", str(short))
        except (Refused, Stopped, Failure, Failed) as refused:
            if not reaper.fired.wait(0.5) or not self.excused(refused):
                self.broken.add(number)
                self.found("wrong", f"{journey.step}: {refused}")
        except Exception as mistake:
            self.broken.add(number)
            self.found("wrong", f"{journey.step}: {type(mistake).__name__} {mistake}")

    def excused(self, refused):
        """Whether what a server says while it is ended is no more than that: a kill makes no job fail."""
        return not isinstance(refused, Failure)

    def check_durable(self, life):
        """Before anything is uploaded again: whatever was acknowledged is there, jobs are at rest."""
        for number, journey in enumerate(self.journeys):
            if journey.id is None or number in self.broken:
                continue
            try:
                wrong = oracle.kept(life, journey) + jobs_at_rest(life, journey)
            except (Refused, Cut) as refused:
                wrong = [("wrong", f"after a restart staging cannot be read [{refused}]")]
            for kind, words in wrong:
                self.found(kind, f"after a {self.ENDING}: {words}")
            if wrong:
                self.broken.add(number)
            self.account.add("comparisons right after a restart")

    def finish(self, life):
        """Goes on without any kill, and compares everything."""
        ids = {migration["referenceId"] for migration in listed(life)}
        for number, journey in enumerate(self.journeys):
            if number in self.broken:
                continue
            journey.hit = lambda moment: None
            try:
                journey.go(life)
                wrong = oracle.whole(oracle.Seen.read(life, journey), journey, self.references[number])
            except (Stuck, Short, Refused, Stopped, Failure, Cut, Failed) as failure:
                kind = "stuck" if isinstance(failure, Stuck) else "wrong"
                wrong = [(kind, f"without any {self.ENDING}: {journey.step}: {failure}")]
            for kind, words in wrong:
                self.found(kind, words)
            self.account.add("migrations brought to verified counts")
            self.account.add("records sent", journey.sent)
            self.account.add("results acknowledged", journey.results)
        twice = oracle.repeated_rows(life.target)
        if twice:
            self.found("duplicated", f"{twice} rows of the target have a reference id that another row has")
        strangers = ids - self.known() - {journey.id for journey in self.journeys}
        for _ in strangers:
            self.found("duplicated", "a registration was carried out twice: the same key made another migration")
        self.remember(strangers)

    def known(self):
        """Migrations of earlier rounds in this directory."""
        return getattr(self.place, "known_migrations", set())

    def remember(self, strangers):
        """Notes the migrations of this round."""
        self.place.known_migrations = self.known() | strangers | {journey.id for journey in self.journeys}


def listed(life):
    """All migrations of a server."""
    found, offset = [], 0
    while True:
        page = ask_json(life, "GET", f"{MIGRATIONS}?limit=100&offset={offset}")
        found += page["items"]
        offset += len(page["items"])
        if not page["items"] or offset >= page.get("total", 0):
            return found


def jobs_at_rest(life, journey):
    """Right after a start no job runs, and what had succeeded still has."""
    jobs = ask_json(life, "GET", f"{journey.path}/jobs?limit=100")
    states = {job["jobId"]: job for job in jobs["items"]}
    wrong = []
    for job, (kind, state) in journey.jobs.items():
        now = states.get(job, {}).get("state")
        if now is None:
            wrong.append(("lost", f"a {kind} job that was answered as begun is not there"))
        elif now == "running":
            wrong.append(("stuck", f"a {kind} job is said to be running right after a start"))
        elif state == "succeeded" and now != "succeeded":
            wrong.append(("false success", f"a {kind} job had succeeded, and after a restart it is {now}"))
    return wrong


def run(account, place, banks, seed, kills, out_of_time, only=None):
    """Rounds until so many kills are done."""
    usual, turn, done = {}, 0, account.figures["kills"]
    data_dir = None
    for turn in range(only if only is not None else 0, 1_000_000 if only is None else only + 1):
        if account.figures["kills"] - done >= kills or out_of_time():
            break
        if data_dir is None or turn % ROUNDS_A_DIRECTORY == 0:
            data_dir = place.fresh("kills")
            place.known_migrations = set()
        going_on = Round("kills", turn, account, place, banks, seed, usual).run(data_dir)
        if not going_on:
            data_dir = None
        account.add("rounds of kills")
        if turn % 10 == 9:
            account.say(
                f"{account.figures['kills']:,} kills, {account.figures['migrations brought to verified counts']:,} "
                f"migrations, {len(account.findings)} findings"
            )
    place.remove("kills")
