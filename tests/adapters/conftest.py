"""What tests of several adapters share: a guard, a PostgreSQL server, and one Spark session."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from purposeguard import Guard
from purposeguard.notices import trendmicro_jp as tm


@pytest.fixture
def guard() -> Guard:
    """A guard that keeps nothing of subjects."""
    return Guard(tm.NOTICE)


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """The URL of an empty database of PostgreSQL, for the driver itself; the server is started when first asked for."""
    from examples.postgresql import run_server  # most runs start none, and have no server installed

    with run_server() as server:
        yield server.get_uri()


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """The one session of Spark, which needs Java 17 or later."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    options = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2",
        "spark.sql.session.timeZone": "UTC",
        # To compile what runs once costs more than to run it.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.warehouse.dir": tempfile.mkdtemp(prefix="spark-"),
    }
    builder = SparkSession.builder.master("local[2]").appName("tests")
    for name, value in options.items():
        builder = builder.config(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()
    shutil.rmtree(options["spark.sql.warehouse.dir"], ignore_errors=True)
