"""Readers for the users' data sets, and preprocessing."""

from pinat_compile.data.dataset import Batch as Batch
from pinat_compile.data.dataset import Dataset as Dataset
from pinat_compile.data.dataset import split_validation as split_validation
from pinat_compile.data.load import as_dataset as as_dataset
from pinat_compile.data.load import load_data as load_data
from pinat_compile.data.preprocess import Preprocess as Preprocess
