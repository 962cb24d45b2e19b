"""Checkpoints: signed statements of the end of a ledger, kept where users of its database cannot change them."""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from purposeguard.containers import omit_keys
from purposeguard.errors import LedgerBroken, StoreUnavailable
from purposeguard.extras import Needs
from purposeguard.governance.engines import make_engine, translate_errors
from purposeguard.governance.ledger.chain import DENIAL, USE, Head, are_texts, to_canonical_json
from purposeguard.governance.ledger.reading import LedgerSnapshot, Verification
from purposeguard.governance.restrictions import declaration, revocation

if TYPE_CHECKING:
    import httpx
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Sink = Callable[[str], object]
"""A function that stores a checkpoint, one line of JSON. The line is on record when it returns."""

INTERVAL: Final = 60.0
"""The seconds between two checkpoints of a process."""

TAIL: Final = 1 << 20
"""The number of bytes at the end of a file in which the last checkpoint is searched."""

DECLARED: Final = "2:"
"""The prefix of the digest of declarations. Digests of earlier versions, over ids, are not compared."""

PREFIX: Final = b"purposeguard checkpoint\n"
"""The prefix of all signed data."""


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    """The end of a ledger at some time."""

    seq: int
    hash: str
    at: str
    open: dict[str, int]
    """The open counts, added up by kind and hour (`use 2026-05-02T09:00Z`)."""
    counts: str
    """The digest of the separate open counts."""
    declarations: str
    """The digest of the restrictions and consents that are not revoked."""
    signature: str | None = None
    """The Ed25519 signature of the other fields, in base64; None without a key."""

    @property
    def line(self) -> str:
        """The checkpoint as one line of JSON."""
        return to_canonical_json(dataclasses.asdict(self))

    @property
    def _data(self) -> dict[str, Any]:
        return omit_keys(dataclasses.asdict(self), ("signature",))

    def sign(self, key: Ed25519PrivateKey) -> Checkpoint:
        """Return the checkpoint with its signature."""
        return dataclasses.replace(self, signature=make_signature(self._data, key))

    def check(self, key: Ed25519PublicKey) -> None:
        """Verify the signature; raise LedgerBroken if it is missing or wrong."""
        _check_signature("checkpoint", self._data, self.signature, key)

    @classmethod
    def of(cls, line: str) -> Checkpoint:
        """Return the checkpoint on a line; raise LedgerBroken unless the line is exactly as it was written."""
        try:
            checkpoint: Any = cls(**json.loads(line))
            texts = (
                checkpoint.hash,
                checkpoint.at,
                checkpoint.counts,
                checkpoint.declarations,
                checkpoint.signature or "",
            )
            numbers = [checkpoint.seq, *checkpoint.open.values()]
            if set(map(type, numbers)) == {int} and are_texts(texts) and checkpoint.line == line:
                return cast("Checkpoint", checkpoint)
        except (ValueError, TypeError, AttributeError, RecursionError):
            pass
        raise LedgerBroken("checkpoint", "this is no checkpoint as one is written: it was changed, or was never one")


def make_signature(data: Mapping[str, Any], key: Ed25519PrivateKey) -> str:
    """Return the signature of data, in base64."""
    return base64.b64encode(key.sign(PREFIX + to_canonical_json(data).encode())).decode()


def _check_signature(what: str, data: Mapping[str, Any], signature: str | None, key: Ed25519PublicKey) -> None:
    with Needs(__name__, "checkpoints"):
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # an extra of its own

    if signature is None:
        raise LedgerBroken(what, f"the {what} is not signed")
    try:
        key.verify(base64.b64decode(signature, validate=True), PREFIX + to_canonical_json(data).encode())
    except (InvalidSignature, binascii.Error):
        raise LedgerBroken(what, f"the signature is not that of this {what} by this key") from None


def verify_archiving(snapshot: LedgerSnapshot, key: Ed25519PublicKey) -> None:
    """Verify that the holder of the key archived the entries that the store lacks; raise LedgerBroken if not."""
    if not snapshot.parts[-1].start.seq:
        return
    boundary = snapshot.boundary
    if boundary is None:
        raise LedgerBroken("archive", "nothing here is signed of what comes before it: name the store too")
    _check_signature("archive", build_archive_data(boundary.seq, boundary.hash), boundary.signature, key)


def build_archive_data(seq: int, hash_: str) -> dict[str, Any]:
    """Return the data to sign for an archive: the number and hash of its last entry."""
    return {"archived": seq, "hash": hash_}


def make_checkpoint(snapshot: LedgerSnapshot, connection: sa.Connection, at: str) -> Checkpoint:
    """Return a checkpoint of what is read now; `connection` is that of the snapshot."""
    head = snapshot.head
    return Checkpoint(head.seq, head.hash, at, _count_by_hour(head), head.open_digest, digest_declarations(connection))


def _count_by_hour(head: Head) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for kind, bodies in zip((USE, DENIAL), head.bodies, strict=True):
        for body in bodies:
            totals[f"{kind} {body['hour']}"] += body["count"]
    return dict(totals)


def digest_declarations(connection: sa.Connection) -> str:
    """Return the digest of the restrictions and consents that are not revoked. Persons appear only as pseudonyms."""
    columns = [column for column in declaration.c if column.name not in {"reference", "words"}]
    revoked = sa.select(revocation.c.declaration)
    query = sa.select(*columns, declaration.c.words).where(declaration.c.id.not_in(revoked)).order_by(declaration.c.id)
    digest = hashlib.sha256()
    for *values, words in connection.execute(query):
        if words is not None:  # A row without words has the digest that it had before words were recorded.
            values.append(words)
        digest.update(to_canonical_json(list(map(_to_digested_value, values))).encode())
    return f"{DECLARED}{digest.hexdigest()}"


def _to_digested_value(value: object) -> object:
    """Return a value of a declaration as its digest takes it: numbers and lists as they are, all else as text."""
    return value if type(value) in (int, list) else str(value)


def verify_from(
    snapshot: LedgerSnapshot, checkpoint: Checkpoint, *, key: Ed25519PublicKey | None, stopped: bool = False
) -> Verification:
    """Verify what was written after a checkpoint, and that nothing before it is missing or replaced.

    Only `verify` finds an earlier entry that was changed and kept its hash. Restrictions and consents are verified if
    the snapshot is of a store. With `stopped`, nothing may have been written since the checkpoint.

    Raises:
        LedgerBroken: the ledger was changed: the place, and the fault.
    """
    start = snapshot.start
    if key is not None:
        checkpoint.check(key)
        verify_archiving(snapshot, key)
        if checkpoint.seq < start.seq:  # Later entries were archived with a signature.
            # What was open or declared where the archive ends is unknown, so both are empty. Below, only a digest with
            # the prefix is compared.
            checkpoint = dataclasses.replace(checkpoint, seq=start.seq, hash=start.hash, open={}, declarations="")
    kinds: set[str] = set()
    # The counts that were open at the checkpoint, less those that became entries since and those that are open now.
    unaccounted_counts = Counter(checkpoint.open)
    verdict = verify_continuation(snapshot, checkpoint.seq, checkpoint.hash)
    for _, entry in snapshot.iter_placed(after=checkpoint.seq):
        kinds.add(entry.kind)
        if entry.kind == USE or (entry.kind == DENIAL and "count" in entry.body):
            unaccounted_counts[f"{entry.kind} {entry.body.get('hour')}"] -= int(entry.body.get("count", 0))
    present = _count_by_hour(snapshot.head)
    unaccounted_counts.subtract(present)
    # The unary plus drops counts that are accounted for, or have grown since. `&` drops hours that the checkpoint does
    # not name, whose counts are positive only if an entry counts a negative number.
    fewer = sorted((+unaccounted_counts).keys() & checkpoint.open.keys())
    if fewer:
        fault = f"fewer were counted than the checkpoint says ({', '.join(fewer)})"
        raise LedgerBroken("counts", fault)
    nothing_was_written = snapshot.head.seq == checkpoint.seq and present == checkpoint.open
    if stopped and not nothing_was_written:
        raise LedgerBroken("ledger", f"more was written than at the checkpoint, {verdict.new} entries or some counts")
    if nothing_was_written and snapshot.head.open_digest != checkpoint.counts:
        raise LedgerBroken("counts", "the open counts are others than at the checkpoint, and nothing was counted since")
    connection = snapshot.connection
    has_comparable_digest = checkpoint.declarations.startswith(DECLARED) and not kinds & {"restriction", "consent"}
    if connection is not None and has_comparable_digest and digest_declarations(connection) != checkpoint.declarations:
        fault = "restrictions or consents were changed without an entry since: see `purposeguard ledger reconcile`"
        raise LedgerBroken("declarations", fault)
    return verdict


def verify_continuation(snapshot: LedgerSnapshot, seq: int, hash_: str) -> Verification:
    """Verify the entries after an entry, which must have this hash, and the head; raise LedgerBroken."""
    head, start = snapshot.head, snapshot.start
    if seq < start.seq:
        fault = f"the entries up to {start.seq} were archived: name the archives too, or the key that signed them"
        raise LedgerBroken(f"entry {seq}", fault)
    if head.seq < seq:
        fault = f"entry {seq} was there, and the ledger ends at {head.seq}: its end was cut off, or it is an older copy"
        raise LedgerBroken("ledger", fault)
    if seq:
        _, entry = (None, start) if seq == start.seq else next(snapshot.iter_placed(after=seq - 1), (None, None))
        if entry is None or (entry.seq, entry.hash) != (seq, hash_):
            raise LedgerBroken(f"entry {seq}", "the entry has another hash than was noted: the ledger was written anew")
    return snapshot.verify(start=Head(seq, "", hash_) if seq else start)


def read_last_checkpoint(sink: str) -> Checkpoint:
    """Return the last checkpoint in a file, or in the database of a URL.

    Raises:
        ValueError: The URL is malformed.
        LedgerBroken, StoreUnavailable: As `read_last_in_file`.
    """
    if "://" not in sink:
        return read_last_in_file(Path(sink))
    return DatabaseSink(sink).last()


def read_last_in_file(path: Path) -> Checkpoint:
    """Return, of the checkpoints at the end of a file, the one of the longest ledger.

    Raises:
        LedgerBroken: a line is no checkpoint, or there is no line.
        StoreUnavailable: the file is unreadable.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError as error:
        raise StoreUnavailable(f"the checkpoints in `{path}` cannot be read: {error.strerror or error}") from None
    # A killed process may have left a last line without its end. The first line may have been cut off here.
    lines = text.split("\n")[1 if size > TAIL else 0 : -1]
    return _longest_checkpoint(lines, f"`{path}`")


def _longest_checkpoint(lines: Sequence[str], where: str) -> Checkpoint:
    """Return the checkpoint of the longest ledger."""
    if not lines:
        raise LedgerBroken("checkpoint", f"there is no checkpoint in {where}")
    return max(map(Checkpoint.of, lines), key=lambda checkpoint: (checkpoint.seq, checkpoint.at))


# ---- making them ----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoints:
    """The settings for the checkpoints of a ledger: sink, key and interval."""

    sink: str | os.PathLike[str] | Sink
    """The path of a file to append to (0600), the URL of another store's database, or a function that gets a line."""
    key: str | os.PathLike[str] | Ed25519PrivateKey | None = None
    """The key, or its path. Unsigned checkpoints (None) prove something only if nobody else can write to the sink."""
    interval: float = INTERVAL
    """The seconds between two checkpoints."""
    _key: Any = dataclasses.field(init=False, repr=False, default=None)
    _write: Sink = dataclasses.field(init=False, repr=False, default=print)

    def __post_init__(self) -> None:
        """Read the key.

        Raises:
            ValueError: the interval is not above zero, or the file holds no such key.
            StoreUnavailable: the key cannot be read.
        """
        if self.interval <= 0:
            raise ValueError(f"the seconds between two checkpoints are above zero: interval={self.interval}")
        key = load_private_key(Path(self.key)) if isinstance(self.key, (str, os.PathLike)) else self.key
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "_write", _make_sink(self.sink))

    @property
    def public(self) -> Ed25519PublicKey | None:
        """The public key that verifies the checkpoints; None if they are not signed."""
        return None if self._key is None else cast("Ed25519PublicKey", self._key.public_key())

    def keep(self, checkpoint: Checkpoint) -> Checkpoint:
        """Sign a checkpoint, and give it to the sink."""
        signed = checkpoint if self._key is None else checkpoint.sign(self._key)
        self._write(signed.line)
        return signed


def _make_sink(sink: str | os.PathLike[str] | Sink) -> Sink:
    if isinstance(sink, str) and "://" in sink:
        return DatabaseSink(sink)
    if isinstance(sink, (str, os.PathLike)):
        return FileSink(Path(sink).absolute())
    return sink


class FileSink:
    """A file to which lines are appended, each on the disk when the call returns."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, line: str) -> None:
        """Raise StoreUnavailable if it cannot be written."""
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                data = f"{line}\n".encode()
                if os.write(file, data) != len(data):
                    raise OSError("no room is left")  # as the system says it
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            message = f"checkpoints cannot be written to `{self._path}`: {error.strerror or error}"
            raise StoreUnavailable(message) from None


checkpoints: Final = sa.Table(
    "purposeguard_checkpoint",
    sa.MetaData(),  # in another database than the tables of governance
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("line", sa.Text, nullable=False),
)


class DatabaseSink:
    """A table of another database, made when it is first needed."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        """Check that the URL names a SQLite file or PostgreSQL; otherwise raise ValueError."""
        self._engine, self._where = make_engine(url, timeout)

    def __call__(self, line: str) -> None:
        """Raise StoreUnavailable if it cannot be written."""
        with translate_errors(self._where), self._engine.begin() as connection:
            checkpoints.create(connection, checkfirst=True)
            connection.execute(sa.insert(checkpoints).values(line=line))

    def last(self) -> Checkpoint:
        """Return the checkpoint of the longest ledger among the last hundred.

        Raises:
            LedgerBroken: a row is no checkpoint, or there is no row.
            StoreUnavailable: it cannot be read.
        """
        latest = sa.select(checkpoints.c.line).order_by(checkpoints.c.id.desc()).limit(100)
        try:
            with translate_errors(self._where), self._engine.connect() as connection:
                return _longest_checkpoint(connection.execute(latest).scalars().all(), self._where)
        finally:
            self._engine.dispose()


def webhook(client: httpx.Client, url: str) -> Sink:
    """Return a sink that sends each checkpoint by POST. A response other than success is an error."""

    def send(line: str) -> None:
        client.post(url, content=line.encode(), headers={"content-type": "application/json"}).raise_for_status()

    return send


# ---- keys -----------------------------------------------------------------------------------------------------------


def make_keys(path: Path) -> Path:
    """Make a pair of keys: the private key in a new file (0600), the public key beside it. Return the latter's path.

    Raises:
        OSError: a file is there already, or cannot be written.
    """
    with Needs(__name__, "checkpoints"):
        from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415  # as above
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  # as above

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    beside = path.with_name(f"{path.name}.pub")
    for target, data, mode in ((path, private, 0o600), (beside, public, 0o644)):
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
    return beside


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key in a file; raise StoreUnavailable if it is unreadable, ValueError if it holds none."""
    with Needs(__name__, "checkpoints"):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  # as above
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415  # as above

    message = f"`{path}` holds no private key of Ed25519: make one with `purposeguard ledger key`"
    key = _load_key(path, lambda data: load_pem_private_key(data, password=None), Ed25519PrivateKey, message)
    return cast("Ed25519PrivateKey", key)


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Return the public key in a file; raise StoreUnavailable if it is unreadable, ValueError if it holds none."""
    with Needs(__name__, "checkpoints"):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415  # as above
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415  # as above

    message = f"`{path}` holds no public key of Ed25519: it is the file that ends in `.pub`"
    return cast("Ed25519PublicKey", _load_key(path, load_pem_public_key, Ed25519PublicKey, message))


def _load_key(path: Path, load: Callable[[bytes], object], kind: Any, message: str) -> object:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreUnavailable(f"the key `{path}` cannot be read: {error.strerror or error}") from None
    with contextlib.suppress(ValueError, TypeError):  # TypeError is raised if the key needs a password.
        key = load(data)
        if isinstance(key, kind):
            return key
    raise ValueError(message)
