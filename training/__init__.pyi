from .dataset import DataError, Dataset
from .members import Member, TrainedMember
from .objective import Objective, parse_objective
from .rate_scheduler import RateScheduler
from .schedules import (
    CosineRamp,
    CurriculumDropout,
    EarlyDropout,
    LateDropout,
    LinearRamp,
    RateSchedule,
)
from .sources import load_dataset
from .targets import targets_for
from .threads import prepare_threads
from .topics import make_topics
from .train import MemberTrainer, train_members

__all__ = [
    "CosineRamp",
    "CurriculumDropout",
    "DataError",
    "Dataset",
    "EarlyDropout",
    "LateDropout",
    "LinearRamp",
    "Member",
    "MemberTrainer",
    "Objective",
    "RateSchedule",
    "RateScheduler",
    "TrainedMember",
    "load_dataset",
    "make_topics",
    "parse_objective",
    "prepare_threads",
    "targets_for",
    "train_members",
]
