"""When a gateway gives memory back to the system."""

from instance_agent.gateway.memory_trim import MemoryTrim

MIB = 1024 * 1024


class Memory:
    """Memory of a process: `used` MiB are in use, `free` MiB are kept by the allocator."""

    def __init__(self, used: int, free: int = 0) -> None:
        self.used, self.free, self.trims = used, free, 0

    def resident(self) -> int:
        return (self.used + self.free) * MIB

    def trim(self) -> None:
        self.free = 0
        self.trims += 1


def look(trim: MemoryTrim) -> None:
    if trim.is_due():
        trim.trim()


def test_memory_that_small_requests_leave_is_kept() -> None:
    memory = Memory(80)
    trim = MemoryTrim(memory.resident, memory.trim)
    memory.free = 63
    look(trim)
    assert memory.trims == 0


def test_memory_that_large_requests_leave_is_given_back() -> None:
    memory = Memory(80)
    trim = MemoryTrim(memory.resident, memory.trim)
    memory.free = 64
    look(trim)
    assert (memory.trims, memory.resident()) == (1, 80 * MIB)


def test_memory_that_is_freed_after_a_trim_is_given_back_later() -> None:
    memory = Memory(80)
    trim = MemoryTrim(memory.resident, memory.trim)
    memory.used, memory.free = 300, 100
    look(trim)
    memory.used, memory.free = 80, 220
    look(trim)
    assert memory.resident() == 80 * MIB


def test_trims_that_do_not_help_become_rare_until_one_helps() -> None:
    memory = Memory(80)
    trim = MemoryTrim(memory.resident, memory.trim)
    memory.used = 300
    waits = []
    for _ in range(7):
        look(trim)
        waits.append(trim.wait_seconds)
    assert waits == [20, 40, 80, 160, 320, 320, 320]
    memory.free = 32
    look(trim)
    assert trim.wait_seconds == 10


def test_waits_are_short_again_once_the_memory_is_low() -> None:
    memory = Memory(80)
    trim = MemoryTrim(memory.resident, memory.trim)
    memory.used = 300
    look(trim)
    memory.used = 80
    look(trim)
    assert trim.wait_seconds == 10
