"""A crowd: a hundred small concurrent migrations, some with hostile plugins. All others must have correct results."""

import json
import random
import threading
from pathlib import Path

from server import MIGRATIONS

from client import (
    ConnectionLost,
    RequestRejected,
    UploadBody,
    UploadStopped,
    Workload,
    request_bytes,
    request_json,
    request_lines,
    upload,
)
from server_process import ServerProcess
from turn import Turn

#: Number of concurrent migrations, and number of those with a hostile mapper.
MIGRATION_COUNT, HOSTILE_COUNT = 100, 25

#: Configuration with short time limits for plugins, because some never end.
CONFIG = "[plugin]\nbatch_millis = 1500\nnarrowing_millis = 400\n"

#: Hostile mappers, compiled by the build of the tests. A record with a member `poison` triggers the hostile behaviour.
HOSTILE_PLUGINS = [
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


def find_hostile_plugins(folder):
    """Returns the files of the hostile mappers by name."""
    plugins = {}
    for name in HOSTILE_PLUGINS:
        files = sorted(
            Path(folder).glob(f"sluice-tests-*/out/sluice-guest-{name}.wasm"), key=lambda file: file.stat().st_mtime
        )
        if files:
            plugins[name] = files[-1]
    return plugins


class CrowdTurn(Turn):
    """Concurrent migrations on one server."""

    def run(self, seed, datasets, hostile):
        """Runs all migrations and reconciles those with the sample mapper."""
        rng = random.Random(f"{seed}:{self.part}:{self.turn}")
        self.directory = self.workspace.new_data_dir("crowd")
        with ServerProcess(self.workspace.binary, self.directory, config=CONFIG) as server:
            digests = {}
            for name, file in hostile.items():
                try:
                    headers = {"Content-Type": "application/wasm"}
                    digests[name] = json.loads(request_bytes(server, "POST", "/plugins", file.read_bytes(), headers))[
                        "digest"
                    ]
                except RequestRejected as rejection:
                    self.report.note(f"the server rejects the hostile plugin {name}: {rejection.code}")
            samples, threads = [], []
            for number in range(MIGRATION_COUNT):
                workload_rng = random.Random(rng.random())
                if digests and number % MIGRATION_COUNT < HOSTILE_COUNT:
                    name = list(digests)[number % len(digests)]
                    work = (self.run_hostile, (server, name, digests[name], workload_rng))
                else:
                    dataset, reference = datasets.get(40, number % 2)
                    samples.append((Workload(dataset, workload_rng), reference))
                    work = (self.run_workload, (server, samples[-1][0], "in a crowd"))
                threads.append(threading.Thread(target=work[0], args=work[1], daemon=True))
            rng.shuffle(threads)
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.reconcile_all(server, [sample for sample in samples if sample[0].is_done()], "in a crowd")
            self.report.add("migrations with hostile plugins", MIGRATION_COUNT - len(samples))

    def run_hostile(self, server, name, digest, rng):
        """Uploads records through a hostile mapper. Each record must have a result and must be kept."""
        number, count, results = rng.randrange(10**6), rng.randint(5, 200), []
        poisoned = set(rng.sample(range(count), min(2, count)))
        lines = [
            json.dumps({"client_id": number + at, **({"poison": True} if at in poisoned else {})}).encode()
            for at in range(count)
        ]
        body = b"\n".join(lines) + b"\n"
        try:
            migration = request_json(server, "POST", MIGRATIONS, {"components": ["Counterparties"], "mapper": digest})[
                "referenceId"
            ]
            path = f"{MIGRATIONS}/{migration}"
            upload(server, f"{path}/sources/client", UploadBody([body], len(body)), results.append)
            stored = request_lines(server, f"{path}/sources/client/records")
            mapped = sum(result["isSuccessful"] for result in results)
            if len(results) != count:
                self.add_finding(
                    "false success", f"{name}: {len(results)} results for {count} records in a complete response"
                )
            if sorted(stored) != sorted(lines):
                self.add_finding("lost", f"{name}: {len(stored)} of {count} records are kept")
            self.report.add("records of hostile plugins that were mapped", mapped)
            self.report.add("records of hostile plugins that were rejected", len(results) - mapped)
            job = request_json(server, "PUT", f"{path}/jobs/import")
            self.add_finding(
                "false success", f"{name}: an import through a plugin without approval has started [{job}]"
            )
        except UploadStopped as error:
            self.report.note(f"the server stopped an upload through {name}: {error.code}")
        except RequestRejected as rejection:
            if rejection.status >= 500:
                self.add_finding("wrong", f"{name}: {rejection}")
            elif rejection.code != "PLUGIN_NOT_APPROVED":
                self.report.note(f"hostile: {rejection.code}")
        except ConnectionLost as error:
            self.add_finding("wrong", f"{name}: {error}")


def run(report, workspace, datasets, seed, turns, out_of_time, only=None):
    """Runs turns."""
    hostile = find_hostile_plugins(workspace.hostile_plugins)
    if not hostile:
        report.skip("hostile plugins", "build them with the tests: `cargo test --workspace --no-run`")
    for turn in [only] if only is not None else range(max(1, turns // 50)):
        if out_of_time():
            break
        CrowdTurn("crowd", turn, report, workspace).run(seed, datasets, hostile)
        report.add("turns of a crowd")
    workspace.remove("crowd")
