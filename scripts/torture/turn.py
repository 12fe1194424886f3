"""What every part does once its trouble is over: start again, compare, go on to verified counts, compare again."""

from server import Failed

import oracle
from client import Cut, Failure, Journey, Refused, Short, Stopped, Stuck, ask_json
from kills import jobs_at_rest
from server_process import Life

#: What a client is told when something did not work; none of these is a false success.
HONEST = (Cut, Refused, Stopped, Failure)


class Turn:
    """One turn of a part: a migration on a server, something that is done to it, and what came of it."""

    def __init__(self, part, turn, account, place):
        self.part, self.turn, self.account, self.place = part, turn, account, place
        self.directory = None
        self.clean = True

    def found(self, kind, words):
        """Notes a finding and keeps the directory."""
        self.clean = False
        self.account.found(kind, self.part, self.turn, words)
        try:
            self.place.keep(self.directory.name, f"{self.part}-{self.turn}-{len(self.account.findings)}")
        except OSError:
            pass

    def step(self, journey, life, said):
        """Goes on as far as it comes; the word for how it ended, told to `said`."""
        usually, journey.longest_job = journey.longest_job, 15
        try:
            return self._step(journey, life, said)
        finally:
            journey.longest_job = usually

    def _step(self, journey, life, said):
        try:
            journey.go(life)
            return said("came to its end")
        except Short as short:
            self.found("false success", str(short))
            return said("ended short")
        except Stuck as stuck:
            return said(f"stuck: {stuck}")
        except HONEST as honest:
            code = getattr(honest, "code", None)
            if isinstance(honest, Refused) and not isinstance(honest.problem, dict):
                self.found("wrong", f"a refusal without a problem document [{honest}]")
            return said(f"{type(honest).__name__.lower()}, {code or 'connection broke'}")

    def start(self, **how):
        """A server that starts by itself, or none and a finding."""
        try:
            life = Life(self.place.binary, self.directory, **how)
        except Failed as failure:
            self.found("no start", f"the server does not start [{failure}]")
            return None
        self.account.add("restarts")
        self.account.top("longest restart", life.start_seconds)
        return life

    def durable(self, life, journey, when):
        """Whatever was acknowledged is there."""
        try:
            wrong = oracle.kept(life, journey) + jobs_at_rest(life, journey)
        except (Refused, Cut) as refused:
            wrong = [("wrong", f"staging cannot be read [{refused}]")]
        for kind, words in wrong:
            self.found(kind, f"{when}: {words}")
        return not wrong

    def readable(self, life, journey, what):
        """Reads what is staged while something is wrong: all of it, or an error."""
        try:
            sources = oracle.staged_sources(life, journey)
        except (Refused, Cut):
            return
        for kind, words in oracle.durable(sources, journey):
            self.found("false success" if kind == "lost" else kind, f"{what}: answered without an error: {words}")

    def to_the_end(self, life, journey, reference, when):
        """Goes on without trouble, and compares everything."""
        try:
            journey.go(life)
            wrong = oracle.whole(oracle.Seen.read(life, journey), journey, reference)
        except (Stuck, Short, Refused, Stopped, Failure, Cut, Failed) as failure:
            kind = {Stuck: "stuck", Short: "false success"}.get(type(failure), "wrong")
            wrong = [(kind, f"{journey.step}: {failure}")]
        for kind, words in wrong:
            self.found(kind, f"{when}: {words}")
        self.account.add("migrations brought to verified counts", not wrong)
        self.account.add("records sent", journey.sent)
        self.account.add("results acknowledged", journey.results)

    def again(self, journey, reference, when):
        """A start on what the last server left, what was acknowledged, and then the whole way."""
        life = self.start()
        if life is None:
            return
        with life:
            if journey.id is None or self.durable(life, journey, when):
                self.to_the_end(life, journey, reference, when)


def up_to(journey, life, step):
    """Goes on until a step is next."""
    order = ["register", "load", "validate", "import", "counts", "done"]
    while order.index(journey.step) < order.index(step):
        if journey.step == "register":
            journey.register(life)
        elif journey.step == "load":
            journey.load(life)
        else:
            journey.job(life, journey.step)


def status_of(life, journey):
    """A migration's document."""
    return ask_json(life, "GET", journey.path)


def fresh_journey(banks, chance, customers, kind=Journey):
    """A migration of a bank, and what an undisturbed one comes to."""
    books, reference = banks.get(customers, chance.randrange(2))
    return kind(books, chance), reference
