"""A shop on FastAPI that does not know the library: prints the answers to some requests."""

import threading
from collections.abc import Iterator
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool


class Base(DeclarativeBase):
    """The base of the tables."""


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    device: Mapped[str]


class UserOut(BaseModel):
    id: int
    email: str


engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
Base.metadata.create_all(engine)
app = FastAPI()


def open_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


Database = Annotated[Session, Depends(open_session)]


@app.post("/users")
def create(email: str, device: str, session: Database) -> UserOut:
    user = User(email=email, device=device)
    session.add(user)
    session.commit()
    return UserOut(id=user.id, email=user.email)


def find_device(email: str) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT device FROM users WHERE email = :email"), {"email": email}).all()


@app.get("/users/{key}")
def show(key: int, tasks: BackgroundTasks, session: Database) -> UserOut:
    user = session.get(User, key)
    if user is None:
        raise HTTPException(404)
    tasks.add_task(find_device, user.email)
    return UserOut(id=user.id, email=user.email)


@app.get("/threads")
def use_thread() -> list[str]:
    found: list[str] = []

    def read() -> None:
        with Session(engine) as session:
            found.extend(session.scalars(select(User.device)))

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    return found


@app.get("/odd")
def run_odd_statements() -> list[object]:
    found: list[object] = []
    with engine.connect() as connection:
        for statement in ("PRAGMA table_info(users)", "EXPLAIN SELECT * FROM users", "SELECT 1 FROM sqlite_master"):
            found.append([list(row) for row in connection.execute(text(statement))])  # noqa: PERF401  # one at a time
    driver = engine.raw_connection()
    cursor = driver.cursor()
    cursor.execute("SELECT email FROM users")
    found.append(cursor.fetchall())
    driver.close()
    return found


@app.exception_handler(Exception)
def explain_failure(_request: object, _error: Exception) -> JSONResponse:
    with engine.connect() as connection:
        connection.execute(text("SELECT device FROM users")).all()
    return JSONResponse({"detail": "broken"}, 500)


@app.get("/broken")
def fail() -> None:
    raise ValueError("broken")


if __name__ == "__main__":
    client = TestClient(app, raise_server_exceptions=False)
    client.post("/users", params={"email": "aiko@example.jp", "device": "X1"})
    for method, path in (
        ("POST", "/users?email=ren@example.jp&device=X2"),
        ("POST", "/users?email=only"),
        ("GET", "/users/1"),
        ("GET", "/users/77"),
        ("GET", "/users/text"),
        ("GET", "/threads"),
        ("GET", "/odd"),
        ("GET", "/broken"),
        ("GET", "/nowhere"),
    ):
        response = client.request(method, path)
        print(method, path, response.status_code, sorted(response.headers.items()), response.content)  # noqa: T201  # The test reads the output.
