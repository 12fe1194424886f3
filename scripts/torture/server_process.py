"""A server's life: from its start to the moment at which it is killed."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from server import CONFIG, Failed, Server, free_port

#: Seconds within which a server has to be ready again, whatever was done to it.
START_SECONDS = 60


class Life(Server):
    """A server on a data directory that it may find as a killed one left it."""

    def __init__(self, binary, data_dir, prefix=(), mappers=(), config="", kill_after=None, environment=None):
        self.data_dir = Path(data_dir)
        self.port = free_port()
        settings = self.data_dir.with_suffix(".toml")
        settings.write_text(CONFIG + config)
        given = [argument for mapper in mappers for argument in ("--mapper", str(mapper))]
        command = [*prefix, binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", self.data_dir]
        # Beside the data directory, so that a full disk keeps nobody from reading it.
        self.log = self.data_dir.with_suffix(".log")
        self._log = self.log.open("ab")
        self._from = self.log.stat().st_size
        self.killed = False
        self.forget_token()
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [*command, "--config", settings, *given], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        if kill_after is not None:
            time.sleep(kill_after)
            self.kill()
            return
        try:
            self._wait_until_ready()
        except Failed as failure:
            self.kill()
            raise Failed(f"{failure}: {self.said()[-600:]}") from None
        self.start_seconds = time.perf_counter() - began

    def _wait_until_ready(self):
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise Failed(f"the server ended with {self.process.returncode}")
            if "ready at " in self.said():
                return
            time.sleep(0.004)
        raise Failed("the server did not become ready")

    def forget_token(self):
        """Another one is asked for the next time."""
        self._token, self._until = None, 0.0

    def said(self):
        """What it has said since it was started."""
        with self.log.open("rb") as file:
            file.seek(self._from)
            return file.read().decode(errors="replace")

    def kill(self):
        """Ends it at once, in the middle of whatever it does."""
        self.killed = True
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._log.close()

    def __exit__(self, *_):
        if not self.killed:
            self.stop()


class Place:
    """Where data directories are made, with plugins compiled beforehand."""

    def __init__(self, binary, folder):
        self.binary, self.folder = Path(binary).resolve(), Path(folder).resolve()
        self.compiled = self.folder / "compiled"

    def prepare(self, use):
        """Compiles all plugins once, by using a server."""
        if self.compiled.exists():
            return
        first = self.fresh("first")
        with Life(self.binary, first) as life:
            use(life)
        shutil.copytree(first / "plugin-cache", self.compiled)
        self.remove("first")

    def fresh(self, name):
        """An empty data directory, but for compiled plugins."""
        self.remove(name)
        data_dir = self.folder / name
        data_dir.mkdir(parents=True)
        return self.filled(data_dir)

    def filled(self, data_dir):
        """The same directory with compiled plugins, where there are any."""
        if self.compiled.exists():
            shutil.copytree(self.compiled, data_dir / "plugin-cache")
        return data_dir

    def remove(self, name):
        """Removes a data directory, and what stands beside it."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        for suffix in (".log", ".toml"):
            (self.folder / name).with_suffix(suffix).unlink(missing_ok=True)

    def keep(self, name, as_name):
        """Puts a copy of a data directory aside, for whoever looks into a finding."""
        aside = self.folder / "kept" / as_name
        if aside.exists() or sum(1 for _ in aside.parent.glob("*")) > 40:
            return
        shutil.copytree(self.folder / name, aside, ignore=shutil.ignore_patterns("plugin-cache", "plugins"))
        log = (self.folder / name).with_suffix(".log")
        if log.exists():
            shutil.copy(log, aside / "log")
