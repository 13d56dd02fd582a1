from .dataset import DataError, Dataset
from .members import Member, TrainedMember
from .objective import Objective, parse_objective
from .sources import load_dataset
from .targets import targets_for
from .train import MemberTrainer, train_members

__all__ = [
    "DataError",
    "Dataset",
    "Member",
    "MemberTrainer",
    "Objective",
    "TrainedMember",
    "load_dataset",
    "parse_objective",
    "targets_for",
    "train_members",
]
