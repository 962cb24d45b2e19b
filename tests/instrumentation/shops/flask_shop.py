"""A shop on Flask that does not know the library: prints the answers to some requests."""

import sqlite3

from flask import Flask, Response, abort, g, jsonify, stream_with_context
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert, select
from sqlalchemy.pool import StaticPool

metadata = MetaData()
customers = Table("customers", metadata, Column("id", Integer, primary_key=True), Column("name", String))
engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
metadata.create_all(engine)
app = Flask(__name__)


@app.before_request
def connect() -> None:
    g.connection = engine.connect()


@app.teardown_request
def disconnect(_: object) -> None:
    g.connection.close()


@app.route("/customers", methods=["POST"])
def create() -> Response:
    g.connection.execute(insert(customers).values(name="Aiko"))
    g.connection.commit()
    return jsonify(created=1)


@app.route("/customers")
def list_names() -> Response:
    return jsonify(list(g.connection.scalars(select(customers.c.name))))


@app.route("/customers/<int:key>")
def show(key: int) -> Response:
    row = g.connection.execute(select(customers).where(customers.c.id == key)).first()
    if row is None:
        abort(404)
    return jsonify(name=row.name)


@app.route("/export")
def export() -> Response:
    return Response(stream_with_context(f"{name}\n" for name in g.connection.scalars(select(customers.c.name))))


@app.route("/broken")
def fail() -> Response:
    raise sqlite3.OperationalError("broken")


if __name__ == "__main__":
    client = app.test_client()
    for method, path in (
        ("GET", "/customers"),
        ("POST", "/customers"),
        ("GET", "/customers/1"),
        ("GET", "/customers/9"),
        ("GET", "/export"),
        ("GET", "/broken"),
    ):
        response = client.open(path, method=method)
        print(method, path, response.status_code, sorted(response.headers.items()), response.data)  # noqa: T201  # The test reads the output.
