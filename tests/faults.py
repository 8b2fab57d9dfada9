"""Workers that fail in a chosen way: real processes and signals, at a chosen frame."""

import io
import os
import resource
import signal
import threading
import time

import numpy as np

from eggym.fitness import pack_step, steps_of
from eggym.frames import Frame, dump, read
from eggym.local_workers import LocalHand


def faulty(fault, at=3, do="play"):
    """Return how workers are made, the first of which meets ``fault`` with frame number ``at`` of those that ``do``."""

    def start(number, inbox):
        return LocalHand(number, inbox) if number else fault(number, inbox, at, do)

    return start


class Faulty(LocalHand):
    """A worker to which something happens when frame number ``at`` is sent of those that ask for ``do`` (None: any)."""

    def __init__(self, number, inbox, at, do=None):
        self.left, self.do = at, do
        super().__init__(number, inbox)

    def send(self, data):
        if self.do in (None, read(io.BytesIO(data)).header["do"]):
            self.left -= 1
            data = self.strike(data) if self.left == 0 else data
        if data is not None:
            super().send(data)

    def strike(self, data):
        """Do the harm; return what is sent instead of ``data``, or None for nothing."""
        raise NotImplementedError


class Killed(Faulty):
    """SIGKILL, with an item in hand."""

    def strike(self, data):
        threading.Timer(0.05, os.kill, (self.process.pid, signal.SIGKILL)).start()
        return data


class KilledAtOnce(Faulty):
    """SIGKILL before it reads its item, however short that is."""

    def strike(self, data):
        self.process.kill()
        return data


class Stillborn(LocalHand):
    """Ends before it is ready."""

    def send(self, data):
        self.process.kill()


class Stopped(Faulty):
    """SIGSTOP, with an item in hand: it is there, and never answers."""

    def strike(self, data):
        os.kill(self.process.pid, signal.SIGSTOP)
        return data


class Slowed(Faulty):
    """Runs a tenth of the time from then on."""

    for_s = float("inf")

    def strike(self, data):
        threading.Thread(target=self._slow, daemon=True).start()
        return data

    def _slow(self):
        end = time.monotonic() + self.for_s
        try:
            while self.process.poll() is None and time.monotonic() < end:
                for number, seconds in ((signal.SIGSTOP, 0.09), (signal.SIGCONT, 0.01)):
                    os.kill(self.process.pid, number)
                    time.sleep(seconds)
        except ProcessLookupError:
            pass


class SlowedAWhile(Slowed):
    """For three seconds."""

    for_s = 3.0


class Starved(Faulty):
    """Gets no more than 600 MiB of addresses: too few for torch and a model."""

    def strike(self, data):
        resource.prlimit(self.process.pid, resource.RLIMIT_AS, (600 << 20, 600 << 20))
        return data


class Deaf(Faulty):
    """Does not hear one frame."""

    def strike(self, data):
        return None


class Misinformed(Faulty):
    """Is told one reward otherwise than the others, in a whole frame, which must be a note."""

    def strike(self, data):
        frame = read(io.BytesIO(data))
        (step,) = steps_of(frame.blob)
        rewards = step.rewards_N_P_G.copy()
        rewards[0] = 1 - np.nan_to_num(rewards[0])
        return dump(Frame(frame.header, pack_step(step.step, step.item_indices_P, rewards)))


class Garbled(Faulty):
    """One bit of its next answer is another when it arrives."""

    def answers(self):
        self._stream = Flipping(super().answers())
        return self._stream

    def strike(self, data):
        self._stream.armed = True
        return data


class Lying(Faulty):
    """Once, says something else than it found: in a whole frame."""

    def __init__(self, number, inbox, at, do=None):
        self.armed = False
        super().__init__(number, Altered(inbox), at, do)

    def strike(self, data):
        self.armed = True
        return data

    def told(self, header, blob):
        """Return header and blob as they arrive."""
        raise NotImplementedError


class Astray(Lying):
    """Answers to another item."""

    def told(self, header, blob):
        return {**header, "item": header["item"] + 1}, blob


class Generous(Lying):
    """Gives back to the budget what was spent."""

    def told(self, header, blob):
        return {**header, "n": [-abs(one) for one in header["n"]]}, blob


class Vague(Lying):
    """Tells of programs that ran, and not how long."""

    def told(self, header, blob):
        return {**header, "s": None}, blob


class Boundless(Lying):
    """Tells of a reward without end."""

    def told(self, header, blob):
        return header, np.array([np.inf], "<f8").tobytes() + blob[8:]


class Altered:
    """An inbox in which a worker that lies is heard."""

    def __init__(self, inbox):
        self._inbox = inbox

    def put(self, said):
        hand, message = said
        if isinstance(message, Frame) and hand.armed and message.header.get("type") == "answer":
            hand.armed = False
            header, blob = hand.told(message.header, message.blob)
            message = Frame(header, blob, message.size)
        self._inbox.put((hand, message))


class Flipping:
    """A stream in which, once, one bit of what is read is flipped."""

    def __init__(self, stream):
        self._stream, self.armed = stream, False

    def read(self, size):
        data = bytearray(self._stream.read(size))
        if self.armed and len(data) > 16:  # not the head: a length that is wrong only keeps waiting, to the deadline
            data[len(data) // 2] ^= 1
            self.armed = False
        return bytes(data)
