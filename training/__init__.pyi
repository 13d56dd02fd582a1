from .callbacks import RateScheduler
from .data.adapters import as_dataset
from .data.dataset import DataError, Dataset
from .data.loaders import load_dataset
from .data.synthetic_text import make_topics
from .data.tables.columns import table_inputs
from .data.targets import targets_for
from .engine.tensorflow.threads import prepare_threads
from .engine.trainer import MemberTrainer, train_members
from .members import Member, TrainedMember
from .objective import Objective, parse_objective
from .plan import PlanOutline
from .schedules import (
    CosineRamp,
    CurriculumDropout,
    EarlyDropout,
    LateDropout,
    LinearRamp,
    RateSchedule,
)
from .settings import TrainSettings
from .startup import start_keras

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
    "PlanOutline",
    "RateSchedule",
    "RateScheduler",
    "TrainSettings",
    "TrainedMember",
    "as_dataset",
    "load_dataset",
    "make_topics",
    "parse_objective",
    "prepare_threads",
    "start_keras",
    "table_inputs",
    "targets_for",
    "train_members",
]
