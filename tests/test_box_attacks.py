"""Attacks on the host, one to a test: each works at level `none`, and fails at every level that claims to stop it.

They run as the user of this session and, where that is root, once more from an ordinary user. An attack has worked if
it printed BREACH or the secret, or if its trace is found outside. Not covered: bugs of the kernel, side channels.
"""

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

LEVELS = ("none", "rlimits", "landlock", "namespaces")
SECRET = "hush-4711"
NOBODY = 65534
ROOT = Path(__file__).parent.parent

DRIVER = """
import json, sys
from eggym.envs.box import Limits, Program, run_programs
for line in sys.stdin:
    level, code, limits = json.loads(line)
    (found,) = run_programs([Program(code, limits=Limits(**limits))], level, level)
    print(json.dumps([found.status, found.why, found.stdout[:2000], found.stderr[:2000]]), flush=True)
"""


def interpreter_of(user):
    """An interpreter that the user may run; None if there is none."""
    for path in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        code = (
            f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nassert sys.version_info >= (3, 11)\nimport eggym.envs.box"
        )
        command = [path, "-c", code]
        try:
            done = subprocess.run(command, cwd="/", capture_output=True, timeout=60, **user)
        except OSError:
            continue
        if done.returncode == 0:
            return path
    return None


class Attacker:
    """A process of a user, with a secret in its environment, that runs programs in boxes."""

    def __init__(self, name, python, user):
        self.name = name
        self.folder = Path(tempfile.mkdtemp(dir="/tmp"))
        self.folder.chmod(0o777)
        environment = {"PYTHONPATH": str(ROOT), "EGGYM_SECRET": SECRET, "PATH": os.environ.get("PATH", "")}
        options = {"env": environment, "cwd": "/", "text": True, **user}
        self.driver = subprocess.Popen([python, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        self.victim = subprocess.Popen(["/bin/sleep", "1000"], env={}, cwd="/", **user)
        self.own = self.folder / "own"  # a file of this user
        subprocess.run(["/bin/sh", "-c", f"echo {SECRET} >{self.own}"], check=True, **user)

    def run(self, level, code, **limits):
        """Status, why, output and errors of a program in a box."""
        words = {"PATH": str(self.own), "FOLDER": str(self.folder), "VICTIM": self.victim.pid, "MANY": running() + 400}
        head = "".join(f"{name} = {value!r}\n" for name, value in words.items())
        self.driver.stdin.write(json.dumps([level, head + code, {"cpu_s": 8, "wall_s": 60} | limits]) + "\n")
        self.driver.stdin.flush()
        return json.loads(self.driver.stdout.readline())

    def close(self):
        self.driver.communicate()
        self.victim.kill()
        self.victim.wait()
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()


def running():
    return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])


@pytest.fixture(scope="module", params=["own user", "ordinary user"])
def attacker(request, box_notes):
    name = f"attacks by the {request.param}"
    user, python = {}, sys.executable
    if request.param == "ordinary user":
        if os.geteuid() != 0:
            pytest.skip("the other tests of this session are by an ordinary user")
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        python = interpreter_of(user)
        if python is None:
            box_notes[name] = "NOT RUN, there is no Python that user 65534 may run"
            pytest.skip(f"{name}: {box_notes[name]}")
    box_notes[name] = "ran"
    made = Attacker(request.param, python, user)
    yield made
    made.close()


READS = {  # stopped from `landlock` on; each prints the secret or BREACH
    "a file of the host": "print(open(PATH).read())",
    "a file, by a descriptor of its folder": """
import os
folder = os.open(FOLDER, os.O_RDONLY)
print(os.read(os.open('own', 0, dir_fd=folder), 99))
""",
    "a file, past Python": """
import ctypes
c = ctypes.CDLL(None)
data = ctypes.create_string_buffer(99)
c.read(c.open(PATH.encode(), 0), data, 99)
print(data.value)
""",
    "a link to a file": "import os\nos.symlink(PATH, FOLDER + '/link')\nprint(open(FOLDER + '/link').read())",
    "a folder": "import os\nprint('BREACH' if 'own' in os.listdir(FOLDER) else '')",
    "the users of the host": "print('BREACH' if 'root' in open('/etc/passwd').read() else '')",
    "environments of processes": """
import glob
for path in glob.glob('/proc/[0-9]*/environ'):
    try:
        data = open(path, 'rb').read()
    except OSError:
        continue
    if b'EGGYM_SECRET' in data:
        print(data)
""",
    "its own memory": "f = open('/proc/self/mem', 'rb')\nprint('BREACH')",
    "commands of processes": "print('BREACH' if open(f'/proc/{VICTIM}/cmdline').read() else '')",
    "installed packages": """
import glob, os
paths = glob.glob(os.path.dirname(os.__file__) + '/site-packages/*/*.py')
paths += glob.glob('/usr/lib/python3/dist-packages/*.py')
print('BREACH' if paths and open(paths[0]).read() is not None else '')
""",
    "the sandbox's own source": f"print('BREACH' if open({str(ROOT / 'envs' / 'box.py')!r}).read() else '')",
    "a file, by a younger call": """
import ctypes
how = (ctypes.c_uint64 * 3)(0, 0, 0)
found = ctypes.CDLL(None).syscall(437, -100, PATH.encode(), ctypes.byref(how), 24)  # openat2
print(open(found).read() if found >= 0 else '')
""",
    "a file, from its folder": "import os\nos.chdir(FOLDER)\nprint(open('own').read())",
    "a file, by the root of another process": "print(open(f'/proc/{VICTIM}/root{PATH}').read())",
    "a file, by its own root": "print(open('/proc/self/root' + PATH).read())",
    "where a link points": "import os\nprint('BREACH' if os.readlink('/proc/self/exe') else '')",
    "names of attributes of a file": "import os\nos.listxattr(PATH)\nprint('BREACH')",
    "kernel settings": "print('BREACH' if open('/proc/version').read() else '')",
}  # fmt: skip

WRITES = {  # stopped from `landlock` on; each leaves FOLDER/trace, or takes or changes the user's own file
    "a file of the host": "open(FOLDER + '/trace', 'w')",
    "a folder": "import os\nos.mkdir(FOLDER + '/trace')",
    "a link": "import os\nos.symlink('/', FOLDER + '/trace')",
    "a hard link": "import os\nos.link(PATH, FOLDER + '/trace')",
    "a pipe": "import os\nos.mkfifo(FOLDER + '/trace')",
    "a socket": "import socket\nsocket.socket(socket.AF_UNIX).bind(FOLDER + '/trace')",
    "taking a file away": "import os\nos.unlink(PATH)",
    "renaming a file": "import os\nos.rename(PATH, FOLDER + '/trace')",
    "emptying a file": "import os\nos.truncate(PATH, 0)",
    "emptying a file by opening it": "import os\nos.open(PATH, os.O_RDONLY | os.O_TRUNC)",
    "the mode of a file": "import os\nos.chmod(PATH, 0o777)",
    "a file, by the root of another process": "open(f'/proc/{VICTIM}/root{FOLDER}/trace', 'w')",
    "the times of a file": "import os\nos.utime(PATH, (0, 0))",
}

POWERS = {  # each prints BREACH when it works; the level from which on it is stopped
    "memory": ("rlimits", "x = bytearray(700 << 20)\nprint('BREACH')"),
    "memory past Python": ("rlimits", "import mmap\nm = mmap.mmap(-1, 700 << 20)\nprint('BREACH')"),
    "a flood of processes": ("rlimits", """
import os, signal
children = []
try:
    for _ in range(MANY):
        child = os.fork()
        if not child:
            signal.pause()
        children.append(child)
    print('BREACH')
finally:
    for child in children:
        os.kill(child, 9)
"""),
    "a flood of threads": ("rlimits", """
import os, threading
threading.stack_size(65536)
gate = threading.Event()
try:
    for _ in range(MANY):
        threading.Thread(target=gate.wait, daemon=True).start()
    print('BREACH')
finally:
    gate.set()
"""),
    "a large file": ("rlimits", """
f = open(FOLDER + '/trace', 'wb', 0)
print('BREACH' if sum(f.write(bytes(1 << 20)) for _ in range(3)) == 3 << 20 else '')
"""),
    "taking its limits off": ("rlimits", """
import resource as r
for name in (r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_FSIZE, r.RLIMIT_NPROC, r.RLIMIT_NOFILE):
    hard = r.getrlimit(name)[1]
    r.setrlimit(name, (hard, hard))
print('BREACH' if r.getrlimit(r.RLIMIT_AS)[0] == r.RLIM_INFINITY else '')
"""),
    "one more process": ("landlock", "import os\nchild = os.fork()\nchild or os._exit(0)\nprint('BREACH')"),
    "a process past Python": ("landlock", """
import ctypes, os, platform
number = {'x86_64': 56, 'aarch64': 220}[platform.machine()]
child = ctypes.CDLL(None).syscall(number, 17, 0, 0, 0, 0)
if child == 0: os._exit(0)
print('BREACH' if child > 0 else '')
"""),
    "another program": ("landlock", "import os\nos.execv('/bin/echo', ['echo', 'BREACH'])"),
    "a shell": ("landlock", "import subprocess\nprint(subprocess.getoutput('echo BREACH'))"),
    "a process by the C library": ("landlock", """
import ctypes, os
child = ctypes.CDLL(None).fork()
if child == 0: os._exit(0)
print('BREACH' if child > 0 else '')
"""),
    "a process by a younger call": ("landlock", """
import ctypes, os
wanted = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)  # clone3, with SIGCHLD alone
child = ctypes.CDLL(None).syscall(435, ctypes.byref(wanted), 88)
if child == 0: os._exit(0)
print('BREACH' if child > 0 else '')
"""),
    "another program, without a fork of its own": ("landlock", """
import os
os.waitpid(os.posix_spawn('/bin/echo', ['echo', 'BREACH'], {}), 0)
"""),
    "a file in memory": ("landlock", "import os\nos.memfd_create('x')\nprint('BREACH')"),
    "memory that others see": ("landlock", """
import ctypes
c = ctypes.CDLL(None)
made = c.shmget(0, 4096, 0o1600)
c.shmctl(made, 0, None)
print('BREACH' if made >= 0 else '')
"""),
    "a file that is memory": ("landlock", """
import os
os.close(os.open('/dev/shm/eggym-trace', os.O_CREAT | os.O_RDWR))
os.unlink('/dev/shm/eggym-trace')
print('BREACH')
"""),
    "passing descriptors": ("landlock", """
import socket
one, other = socket.socketpair()
socket.send_fds(one, [b'x'], [0])
print('BREACH' if socket.recv_fds(other, 1, 1)[1] else '')
"""),
    "a name for its socket": ("landlock", """
import socket
socket.socket(socket.AF_UNIX).bind('\\0eggym-name')
print('BREACH')
"""),
    "a lock on a file of the host": ("landlock", """
import fcntl, os
fcntl.flock(os.open(os.__file__, os.O_RDONLY), fcntl.LOCK_EX)
print('BREACH')
"""),
    "a lock on a part of a file": ("landlock", """
import fcntl, os
fcntl.lockf(os.open(os.__file__, os.O_RDONLY), fcntl.LOCK_SH)
print('BREACH')
"""),
    "a handle of another process": ("landlock", "import os\nos.pidfd_open(VICTIM)\nprint('BREACH')"),
    "a name of its own": ("landlock", """
import ctypes
print('BREACH' if not ctypes.CDLL(None).prctl(15, b'x') else '')
"""),
    "another personality": ("landlock", """
import ctypes
print('BREACH' if ctypes.CDLL(None).personality(0xffffffff) >= 0 else '')
"""),
    "its processors": ("landlock", "import os\nos.sched_setaffinity(0, os.sched_getaffinity(0))\nprint('BREACH')"),
    "its priority": ("landlock", "import os\nos.nice(1)\nprint('BREACH')"),
    "watching files": ("landlock", "import ctypes\nprint('BREACH' if ctypes.CDLL(None).inotify_init() >= 0 else '')"),
    "learning of another process": ("namespaces", "import os\nos.getpgid(VICTIM)\nprint('BREACH')"),
    "learning of a file": ("namespaces", "import os\nos.stat(PATH)\nprint('BREACH')"),
    "a new user namespace": ("landlock", """
import ctypes
print('BREACH' if ctypes.CDLL(None).unshare(0x10000000) == 0 else '')
"""),
    "tracing another process": ("landlock", """
import ctypes
print('BREACH' if ctypes.CDLL(None).ptrace(16, VICTIM, 0, 0) == 0 else '')
"""),
    "the memory of another process": ("landlock", "open(f'/proc/{VICTIM}/mem', 'rb')\nprint('BREACH')"),
    "seeing another process": ("landlock", "import os\nos.kill(VICTIM, 0)\nprint('BREACH')"),
    "listening for connections": ("landlock", """
import socket
here = socket.socket()
here.bind(('127.0.0.1', 0))
here.listen()
print('BREACH')
"""),
    "rare system calls": ("landlock", """
import ctypes, errno
c = ctypes.CDLL(None, use_errno=True)
for number in (425, 438, 434, 303, 250):  # io_uring_setup, pidfd_getfd, pidfd_open, name_to_handle_at, keyctl
    if c.syscall(number, 0, 0, 0, 0, 0) >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
        print('BREACH')
"""),
}  # fmt: skip


def level_for(box_level, level):
    return str(box_level(level))


def worked(attacker, level, code, **limits):
    status, why, out, _ = attacker.run(level, code, **limits)
    assert status != "setup_error", why
    return SECRET in out or "BREACH" in out


@pytest.mark.parametrize("name", READS)
def test_reading(attacker, box_level, name):
    assert worked(attacker, "none", READS[name])
    (attacker.folder / "link").unlink(missing_ok=True)
    for level in LEVELS[2:]:
        assert not worked(attacker, level_for(box_level, level), READS[name]), level


def changed(attacker, level, code):
    """Whether a program left or changed something in the folder; puts everything back."""
    own, trace = attacker.own, attacker.folder / "trace"
    owner = os.stat(own)
    status, why, _, _ = attacker.run(level, code)
    assert status != "setup_error", why
    traces = os.path.lexists(trace)
    found = traces or not own.exists() or (
        (own.stat().st_mode, own.stat().st_mtime, own.read_text()) != (owner.st_mode, owner.st_mtime, SECRET + "\n")
    )  # fmt: skip
    if traces:
        trace.rmdir() if trace.is_dir() and not trace.is_symlink() else trace.unlink()
    own.write_text(SECRET + "\n")
    own.chmod(0o644)
    os.chown(own, owner.st_uid, owner.st_gid)
    return found


@pytest.mark.parametrize("name", WRITES)
def test_writing(attacker, box_level, name):
    assert changed(attacker, "none", WRITES[name])
    for level in LEVELS[2:]:
        assert not changed(attacker, level_for(box_level, level), WRITES[name]), level


@pytest.mark.parametrize("name", POWERS)
def test_powers(attacker, box_level, name):
    since, code = POWERS[name]
    assert worked(attacker, "none", code)
    (attacker.folder / "trace").unlink(missing_ok=True)
    for level in LEVELS[LEVELS.index(since) :]:
        assert not worked(attacker, level_for(box_level, level), code), level


BUSY = """
import ctypes
print('BREACH' if not ctypes.CDLL(None).sysinfo(ctypes.create_string_buffer(512)) else '')
"""


def test_how_busy_the_machine_is_can_be_seen_at_every_level(attacker, box_level):
    assert all(worked(attacker, level_for(box_level, level), BUSY) for level in LEVELS)


@pytest.mark.parametrize("name", ["learning of another process", "learning of a file"])
def test_what_landlock_does_not_hide(attacker, box_level, name):
    assert worked(attacker, level_for(box_level, "landlock"), POWERS[name][1])


FOREIGN = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex('b814000000cd80c3'))  # getpid of the 32-bit table
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
print('BREACH')
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="int 0x80 is of x86_64")
def test_calls_of_the_32_bit_table_kill(attacker, box_level):
    for level in LEVELS[2:]:
        assert attacker.run(level_for(box_level, level), FOREIGN)[:2] == ["died", "killed by signal 31"], level


class Listener:
    """A service of this host; remembers what it was sent."""

    def __init__(self, kind, family, address):
        self.heard = []
        self.socket = socket.socket(family, kind)
        self.socket.bind(address)
        self.socket.settimeout(0.05)
        self.kind = kind
        if kind == socket.SOCK_STREAM:
            self.socket.listen()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        while not self._stop.is_set():
            try:
                if self.kind == socket.SOCK_STREAM:
                    self.socket.accept()[0].close()
                else:
                    self.socket.recv(99)
                self.heard.append(1)
            except TimeoutError:
                continue

    def close(self):
        self._stop.set()
        self._thread.join()
        self.socket.close()


SERVICES = {
    "TCP": (socket.SOCK_STREAM, socket.AF_INET, "socket.create_connection(('127.0.0.1', PORT))"),
    "UDP": (socket.SOCK_DGRAM, socket.AF_INET, "socket.socket(type=2).sendto(b'x', ('127.0.0.1', PORT))"),
    "a socket in a folder": (
        socket.SOCK_STREAM, socket.AF_UNIX, "socket.socket(socket.AF_UNIX).connect(FOLDER + '/trace')",
    ),
    "a socket without a name": (
        socket.SOCK_DGRAM, socket.AF_UNIX, "socket.socketpair(type=2)[0].sendto(b'x', b'\\0eggym-trace')",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_reaching_services_of_the_host(attacker, box_level, name):
    kind, family, code = SERVICES[name]
    named = "\0eggym-trace" if kind == socket.SOCK_DGRAM else str(attacker.folder / "trace")
    service = Listener(kind, family, ("127.0.0.1", 0) if family == socket.AF_INET else named)
    if named == str(attacker.folder / "trace") and family == socket.AF_UNIX:
        os.chmod(named, 0o777)
    port = service.socket.getsockname()[1] if family == socket.AF_INET else 0
    try:
        heard = []
        for level in ("none", *LEVELS[2:]):
            service.heard.clear()
            attacker.run(level_for(box_level, level), f"import socket\nPORT = {port}\n{code}")
            time.sleep(0.2)
            heard.append(bool(service.heard))
        assert heard == [True, False, False]
    finally:
        service.close()
        (attacker.folder / "trace").unlink(missing_ok=True)


DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1.0)
        os.close(os.open(FOLDER + '/trace', os.O_CREAT | os.O_WRONLY))
    os._exit(0)
"""


@pytest.mark.slow
def test_outliving_its_run(attacker, box_level):
    found = []
    for level in ("none", *LEVELS[2:]):
        attacker.run(level_for(box_level, level), DAEMON)
        time.sleep(1.5)
        found.append((attacker.folder / "trace").exists())
        (attacker.folder / "trace").unlink(missing_ok=True)
    assert found == [True, False, False]


@pytest.mark.parametrize("code", ["import os\nos.kill(VICTIM, 9)", "import ctypes\nctypes.CDLL(None).kill(VICTIM, 9)"])
def test_ending_another_process(attacker, box_level, code):
    for level in LEVELS[2:]:
        attacker.run(level_for(box_level, level), code)
        assert attacker.victim.poll() is None, level
    attacker.run("none", code)
    assert attacker.victim.wait(5) == -signal.SIGKILL
    user = {"user": NOBODY, "group": NOBODY} if attacker.name == "ordinary user" else {}
    attacker.victim = subprocess.Popen(["/bin/sleep", "1000"], env={}, cwd="/", **user)


def test_ending_the_zygote(attacker, box_level):
    code = "import os\nos.kill(os.getppid(), 9)\nimport time\ntime.sleep(9)"
    assert attacker.run("none", code)[0] == "setup_error"
    for level in LEVELS[2:]:
        status, why, _, _ = attacker.run(level_for(box_level, level), code)
        assert (status, why[:15]) == ("exception", "PermissionError"), level


IGNORANT = """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    try:
        while True: pass
    except BaseException:
        pass
"""


@pytest.mark.parametrize("level", LEVELS)
def test_a_loop_that_ignores_every_signal_ends(attacker, box_level, level):
    status, why, *_ = attacker.run(level_for(box_level, level), IGNORANT, cpu_s=0.5)
    assert (status, why) == ("timeout", "took more than 0.5 s of CPU")


FLOOD = """
import os, threading
def flood(descriptor):
    try:
        while True:
            os.write(descriptor, b'x' * 65536)
    except OSError:
        pass
threads = [threading.Thread(target=flood, args=[n]) for n in DESCRIPTORS]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("descriptors", ["[1]", "[2]", "[1, 2]", "[3]", "range(12)"])
def test_a_flood_through_any_descriptor_is_cut_off(attacker, box_level, level, descriptors):
    code = f"DESCRIPTORS = {descriptors}\n{FLOOD}"
    status, why, *_ = attacker.run(level_for(box_level, level), code, wall_s=20)
    assert status in ("output_limit", "protocol"), why


@pytest.mark.parametrize("level", LEVELS)
def test_no_descriptor_is_inherited(attacker, box_level, level):
    code = """
import os, stat
for n in range(4096):
    try:
        print(n, stat.S_ISSOCK(os.fstat(n).st_mode), end=';')
    except OSError:
        pass
"""
    _, _, out, _ = attacker.run(level_for(box_level, level), code)
    assert out == "0 False;1 False;2 False;3 True;"  # the last is the report's: what goes through it is not believed


def test_the_environment_is_empty_at_every_level(attacker, box_level):
    for level in LEVELS:
        assert attacker.run(level_for(box_level, level), "import os; print(dict(os.environ))")[2] == "{}\n"
