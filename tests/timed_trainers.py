"""A clock that only training moves, and a trainer that moves it."""

from types import SimpleNamespace

from dropout_zoo.training.engine import timing


class TimedTrainer:
    """Takes a given time: to start, for a training run, and for an epoch."""

    def __init__(self, clock, begin=3.0, training=0.25, epoch=0.5, together=2, stops_after=99):
        self.clock, self.begin, self.together = clock, begin, together
        self.training, self.epoch, self.stops_after = training, epoch, stops_after
        self.asked = []

    @property
    def max_parallel(self):
        self.clock.now += self.begin
        return self.together

    def train(self, members):
        self.asked.append([(member.seed, member.epochs) for member in members])
        epochs = min(self.stops_after, members[0].epochs)
        self.clock.now += self.training + epochs * self.epoch
        if len(self.asked) == 1:
            self.clock.now += 1.0  # compiling
        return [SimpleNamespace(curves=range(epochs)) for _ in members]


def training_clock(monkeypatch):
    """A clock, which estimates of durations read from now on."""
    clock = SimpleNamespace(now=100.0)
    clock.perf_counter = lambda: clock.now
    monkeypatch.setattr(timing, "time", clock)
    return clock
