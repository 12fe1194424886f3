"""Server processes that can be killed, and the workspace of their data directories."""

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from server import CONFIG, Server, UnexpectedResult, free_port

#: Maximum seconds until a server is ready, after any fault.
START_SECONDS = 60


class ServerProcess(Server):
    """A server on a new data directory or on one that a killed server left."""

    def __init__(self, binary, data_dir, prefix=(), mappers=(), config="", kill_after=None, environment=None):
        self.data_dir = Path(data_dir)
        self.port = free_port()
        settings = self.data_dir.with_suffix(".toml")
        settings.write_text(CONFIG + config)
        arguments = [argument for mapper in mappers for argument in ("--mapper", str(mapper))]
        command = [*prefix, binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", self.data_dir]
        # Outside of the data directory, so that the log can be written when that disk is full.
        self.log = self.data_dir.with_suffix(".log")
        self._log = self.log.open("ab")
        self._log_offset = self.log.stat().st_size
        self.killed = False
        #: Set when `kill` has ended. A trigger kills in a thread of its own, and the next server waits for it.
        self.kill_is_complete = threading.Event()
        self.forget_token()
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [*command, "--config", settings, *arguments], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        if kill_after is not None:
            time.sleep(kill_after)
            self.kill()
            return
        try:
            self._wait_until_ready()
        except UnexpectedResult as failure:
            self.kill()
            raise UnexpectedResult(f"{failure}: {self.log_text()[-600:]}") from None
        self.start_seconds = time.perf_counter() - started

    def _wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise UnexpectedResult(f"the server ended with {self.process.returncode}")
            if "ready at " in self.log_text():
                return
            time.sleep(0.004)
        raise UnexpectedResult("the server did not become ready")

    def forget_token(self):
        """Discards the access token. The next request fetches a new one."""
        self._token, self._token_expiry = None, 0.0

    def log_text(self):
        """Returns the log since the start of this process."""
        with self.log.open("rb") as file:
            file.seek(self._log_offset)
            return file.read().decode(errors="replace")

    def kill(self):
        """Kills the process with SIGKILL."""
        self.killed = True
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.after_kill_signal()
        self.process.wait()
        self._log.close()
        self.kill_is_complete.set()

    def after_kill_signal(self):
        """Runs between the signal and the end of the process. Subclasses cut the power here."""

    def __exit__(self, *_):
        if not self.killed:
            self.stop()


class Workspace:
    """A folder for data directories, with a cache of compiled plugins."""

    def __init__(self, binary, folder):
        self.binary, self.folder = Path(binary).resolve(), Path(folder).resolve()
        self.compiled = self.folder / "compiled"

    def prepare(self, use):
        """Compiles all plugins once, by using a server. Stores them in the cache."""
        if self.compiled.exists():
            return
        first = self.new_data_dir("first")
        with ServerProcess(self.binary, first) as server:
            use(server)
        shutil.copytree(first / "plugin-cache", self.compiled)
        self.remove("first")

    def new_data_dir(self, name):
        """Creates a data directory that contains only compiled plugins."""
        self.remove(name)
        data_dir = self.folder / name
        data_dir.mkdir(parents=True)
        return self.with_plugin_cache(data_dir)

    def with_plugin_cache(self, data_dir):
        """Copies the compiled plugins, if there are any, into a data directory. Returns the directory."""
        if self.compiled.exists():
            shutil.copytree(self.compiled, data_dir / "plugin-cache")
        return data_dir

    def remove(self, name):
        """Removes a data directory with its log and configuration."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        for suffix in (".log", ".toml"):
            (self.folder / name).with_suffix(suffix).unlink(missing_ok=True)

    def keep_copy(self, name, as_name):
        """Keeps a copy of a data directory for the analysis of a finding. Keeps at most 40 copies."""
        copy = self.folder / "kept" / as_name
        if copy.exists() or sum(1 for _ in copy.parent.glob("*")) > 40:
            return
        shutil.copytree(self.folder / name, copy, ignore=shutil.ignore_patterns("plugin-cache", "plugins"))
        log = (self.folder / name).with_suffix(".log")
        if log.exists():
            shutil.copy(log, copy / "log")
