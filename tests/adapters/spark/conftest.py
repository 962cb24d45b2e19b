"""One session, one guard, and relations with tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from purposeguard import Guard
from purposeguard.adapters.spark import Spark
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.spark.relations import CUSTOMER, CUSTOMERS, MIXED, ORDERED, ORDERS, frame


@pytest.fixture(scope="session")
def session(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> SparkSession:
    found: SparkSession = spark
    found.sparkContext.setCheckpointDir(str(tmp_path_factory.mktemp("checkpoints")))
    return found


@pytest.fixture(scope="session")
def guard() -> Guard:
    return Guard(tm.NOTICE)


@pytest.fixture(scope="session")
def sp(guard: Guard) -> Spark:
    return Spark(guard)


@pytest.fixture(scope="session")
def customers(session: SparkSession, sp: Spark) -> DataFrame:
    made = frame(session, sp, CUSTOMER, CUSTOMERS)
    made.createOrReplaceTempView("customer")
    return made


@pytest.fixture(scope="session")
def orders(session: SparkSession, sp: Spark) -> DataFrame:
    made = frame(session, sp, ORDERS, ORDERED)
    made.createOrReplaceTempView("orders")
    return made


@pytest.fixture(scope="session")
def mixed(session: SparkSession, sp: Spark) -> DataFrame:
    rows = [(1, "1.1(a)", "Ann", "x"), (2, "2.1a", "Bob", "y"), (3, "registration", "Cy", None), (4, "1.1b", "Di", "z")]
    made = frame(session, sp, MIXED, rows)
    made.createOrReplaceTempView("mixed")
    return made


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "data")
