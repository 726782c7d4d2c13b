"""Runs on a real network file system: an NFS server and two clients, each a virtual machine, with kills.

    sh bench/runs/nfs/image.sh WORK                                     once; it says what it needs
    python -m degrade_engine.bench.runs.nfs.kills WORK -o kills.jsonl   needs qemu-system-x86

Two calls of `generate` on each client make one set, whose folder lies on the server. Processes are killed at random
moments, and now and then a whole client. A set has to have the bytes of one on the server's own disk, made by one call.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from functools import partial
from pathlib import Path

import click

from ...machine import stamp
from ...options import ROWS_APPENDED, integer, random_seed
from ...rows import add_row

CLIENTS, CALLS = (2, 3), (0, 1)  # and so many calls on each
PAIRS = 160
WORDS = f"--degrader bsrgan --hr /opt/photos --lr-size 16 --pairs {PAIRS} --shard-pairs 16 --seed 3 --threads 1 --quiet"
GENERATE = f"python3 /opt/made.py generate {WORDS}"
SAME = (
    "import sys; from pathlib import Path; from degrade_engine.bench.runs.kills import tree; "
    "a, b = map(tree, map(Path, sys.argv[1:])); "
    "print('same' if a == b else sorted(set(a.items()) ^ set(b.items()))[:3])"
)
FIRST_S, LAST_S = 5.0, 30.0  # from one kill to the next


class Machine:
    """A virtual machine that is on. number: 1 serves."""

    def __init__(self, work: Path, number: int, options: str, kvm: bool) -> None:
        self.number = number
        line = (
            f"qemu-system-x86_64 -accel {'kvm' if kvm else 'tcg'} -cpu max -m 1024 -display none -no-reboot "
            f"-kernel {work}/vmlinuz -initrd {work}/initrd -serial file:{work}/console{number} -serial stdio "
            f"-drive file={work}/root.ext4,format=raw,if=virtio,readonly=on,file.locking=off "
            f"-netdev socket,id=net,mcast=230.0.0.1:12349,localaddr=127.0.0.1 "
            f"-device virtio-net-pci,netdev=net,mac=52:54:00:00:00:0{number}"
        )
        if number == 1:
            with (work / "disk").open("wb") as file:
                file.truncate(1 << 30)
            line += f" -drive file={work}/disk,format=raw,if=virtio,cache=unsafe"
        start = "console=ttyS0 net.ifnames=0 mitigations=off panic=-1 root=/dev/vda ro init=/sbin/machine"
        words = [*line.split(), "-append", f"{start} number={number} nfs={options}"]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._up = False

    def say(self, line: str) -> str:
        """What a line of shell prints, its errors too."""
        assert self._process.stdin
        if not self._up:
            self._heard()  # it listens
            self._up = True
        self._process.stdin.write(f"( {line} ) </dev/null 2>&1; echo '#'END\n")
        self._process.stdin.flush()
        return self._heard()

    def _heard(self) -> str:
        assert self._process.stdout
        said = ""
        while not said.endswith("#END\n"):
            said += (one := self._process.stdout.readline())
            if not one:
                raise SystemExit(f"machine {self.number} has ended: {said}")
        return said.removesuffix("#END\n")

    def off(self) -> None:
        """As by the power cord."""
        self._process.kill()
        self._process.wait()


class Campaign:
    """Sets on the server, made by calls on both clients, with kills."""

    def __init__(self, work: Path, options: str, lease: int, kvm: bool, seed: int) -> None:
        self._machine = partial(Machine, work, options=options, kvm=kvm)
        self._console = {number: work / f"console{number}" for number in CLIENTS}
        self._lease, self._dice = lease, random.Random(seed)
        self._met, self._said, self._made = Counter[str](), Counter[str](), Counter[str]()
        self._server = self._machine(1)
        self._clients = {number: self._machine(number) for number in CLIENTS}

    def run(self, sets: int, kills: int, power_cuts: int) -> dict[str, object]:
        """So many sets, each with so many kills; of the first sets one kill is that of a client. Returns the row."""
        print(self._server.say(f"{GENERATE} --out /mnt/whole"), flush=True)
        identical = 0
        for n in range(sets):
            self._complete(f"/mnt/set{n}", kills, n < power_cuts)
            found = self._server.say(f'PYTHONPATH=/opt/app python3 -c "{SAME}" /mnt/share/set{n} /mnt/whole')
            identical += found == "same\n"
            left = self._server.say(f"ls -A /mnt/share/set{n}/claims 2>/dev/null | wc -l").strip()
            click.echo(f"set {n}: {found.strip()[:2000]}, {left} files left among the claims; {dict(self._met)}")
        mounted = self._clients[2].say("grep ' nfs' /proc/mounts").split()[3]
        return {
            "work": "bsrgan", "sink": "folder", "who": "two calls on each of two clients", "pairs": PAIRS,
            "shards": PAIRS // 16, "file_system": "NFS", "mount": mounted, "lease": self._lease,
            "kernel": self._clients[2].say("uname -rv").strip(), "kills": sum(self._met.values()),
            "met": dict(self._met), "sets": sets, "identical": identical,
            "made_again": sum(times - 1 for times in self._made.values()), "messages": dict(self._said),
        }  # fmt: skip

    def _complete(self, out: str, kills: int, power_cut: bool) -> None:
        """One set: killed and gone on with until every call has ended well."""
        for client in self._clients.values():
            for call in CALLS:
                self._call(client, call, out)
        due = time.monotonic() + 30 + self._pause()
        while waiting := [
            (one, call) for one in self._clients.values() for call in CALLS if not self._done(one, call, out)
        ]:
            if time.monotonic() < due or not kills:
                time.sleep(2)
                continue
            due, kills = time.monotonic() + self._pause(), kills - 1
            machine, call = self._dice.choice(waiting)
            if power_cut:
                power_cut = False
                self._power_cut(machine.number, out)
            else:
                self._met["a call"] += not machine.say(f"kill -9 $(cat /tmp/{call}.pid)")
        for number in CLIENTS:
            self._count(number)

    def _pause(self) -> float:
        return self._dice.uniform(FIRST_S, LAST_S)

    def _call(self, machine: Machine, call: int, out: str) -> None:
        run = f"{GENERATE} --lease {self._lease} --out {out} >/tmp/{call}.said 2>&1 & echo $! >/tmp/{call}.pid; wait $!"
        machine.say(f"rm -f /tmp/{call}.code; ( {run}; echo $? >/tmp/{call}.code ) 2>/dev/null &")

    def _done(self, machine: Machine, call: int, out: str) -> bool:
        """Whether a call has ended well; one that has not is started again."""
        code = machine.say(f"cat /tmp/{call}.code 2>/dev/null").strip()
        if code in ("", "0"):
            return code == "0"
        if code != "137":
            said = " ".join(machine.say(f"cat /tmp/{call}.said").split())
            click.echo(f"exit code {code}: {said[-1000:]}")
            self._said[f"{code}: {said[:200]}"] += 1
        self._call(machine, call, out)
        return False

    def _power_cut(self, number: int, out: str) -> None:
        """A client is off and on again."""
        self._clients[number].off()
        self._met["a client"] += 1
        self._count(number)
        self._clients[number] = self._machine(number)
        for call in CALLS:
            self._call(self._clients[number], call, out)

    def _count(self, number: int) -> None:
        """The shards that a client made, from its console, which begins anew."""
        lines = self._console[number].read_text(errors="replace").splitlines()
        self._made.update(line.partition("made ")[2] for line in lines if "made /mnt" in line)
        self._console[number].write_text("")

    def off(self) -> None:
        for machine in (self._server, *self._clients.values()):
            machine.off()


@click.command()
@click.argument("work", type=click.Path(path_type=Path))
@click.option("--mount", "options", default="vers=4.2", show_default=True, help="Options of the mount.")
@click.option("--kvm", is_flag=True, help="Use KVM. Otherwise the processor is emulated.")
@integer("--sets", 5, "Sets of pairs.")
@integer("--kills", 5, "Kills per set.", least=0)
@integer("--power-cuts", 1, "In so many sets one kill is that of a client.", least=0)
@integer("--lease", 60, "Lease in seconds.")
@random_seed("Random seed for the moments of the kills.")
@ROWS_APPENDED
def main(
    work: Path, options: str, kvm: bool, sets: int, kills: int, power_cuts: int, lease: int, seed: int, out: Path
) -> None:
    """Make sets over NFS, kill, compare, and add a row."""
    campaign = Campaign(work, options, lease, kvm, seed)
    try:
        row = campaign.run(sets, kills, power_cuts)
    finally:
        campaign.off()
    add_row(out, row | {"kvm": kvm, "seed": seed} | stamp())
    raise SystemExit(row["identical"] != sets)


if __name__ == "__main__":
    main()
