"""What a process does with memory that it frees."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from eggym.usage import keep_memory

torch.set_num_threads(1)
if sys.argv[1] == "kept":
    keep_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    blocks = [torch.ones(1 << 20) for _ in range(8)]  # 4 MiB each, all freed together
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_memory_that_is_freed_stays_and_is_not_taken_anew_for_every_pass():
    def faults(how):
        done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    pages = 8 * (4 << 20) // 4096  # of one round
    assert faults("kept") < 3 * pages
