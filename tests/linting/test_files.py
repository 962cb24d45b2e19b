"""Which files are looked at, and what becomes of those that cannot be read."""

import errno
import os
import sys
from pathlib import Path

import pytest

from purposeguard.cli.lint import NotLintable, lint
from purposeguard.cli.lint.files import LARGEST

MODEL = "from pydantic import BaseModel\n\n\nclass Customer(BaseModel):\n    email: str\n"


def places(outcome, folder):
    return [(one.place.path.removeprefix(f"{folder.as_posix()}/"), one.place.line) for one in outcome.findings]


def write(folder, name, text, encoding="utf-8"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def test_folders_are_searched_and_foreign_code_is_left_out(tmp_path):
    for name in ("a.py", "b/c.pyw", ".hidden/d.py", "node_modules/e.py", "lib/site-packages/f.py", "env/g.py", "h.txt"):
        write(tmp_path, name, MODEL)
    write(tmp_path, "env/pyvenv.cfg", "home = /usr\n")
    assert places(lint([tmp_path]), tmp_path) == [("a.py", 5), ("b/c.pyw", 5)]


def test_a_file_is_looked_at_once(tmp_path):
    path = write(tmp_path, "a.py", MODEL)
    outcome = lint([tmp_path, path, tmp_path / "." / "a.py"])
    assert outcome.files == 1
    assert len(outcome.findings) == 1


def test_a_file_is_looked_at_whatever_it_is_called(tmp_path):
    assert len(lint([write(tmp_path, "script", MODEL)]).findings) == 1


@pytest.mark.parametrize("glob", ["generated", "generated/*", "*_pb2.py", "generated/a_pb2.py"])
def test_excluded(glob, tmp_path):
    write(tmp_path, "generated/a_pb2.py", MODEL)
    assert lint([tmp_path], exclude=[glob]).files == 0


def test_links_that_lead_nowhere_or_to_themselves(tmp_path):
    (tmp_path / "round.py").symlink_to("round.py")
    (tmp_path / "lost.py").symlink_to("nowhere.py")
    (tmp_path / "folder").symlink_to(tmp_path)
    write(tmp_path, "a.py", MODEL)
    outcome = lint([tmp_path])
    assert places(outcome, tmp_path) == [("a.py", 5)]
    assert [one.path.rpartition("/")[2] for one in outcome.unread] == ["lost.py", "round.py"]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.py")
    (unread,) = lint([tmp_path]).unread
    assert unread.message == "is not a regular file"


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch):
    write(tmp_path, "a.py", MODEL)
    write(tmp_path, "closed/b.py", MODEL)
    listed = os.scandir

    def scandir(path):
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    outcome = lint([tmp_path])
    assert places(outcome, tmp_path) == [("a.py", 5)]
    (unread,) = outcome.unread
    assert (unread.path, unread.message) == ((tmp_path / "closed").as_posix(), "cannot be listed: Permission denied")


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(NotLintable, match="does not exist"):
        lint([tmp_path / "nowhere"])


def test_notebooks_are_refused_or_told(tmp_path):
    notebook = write(tmp_path, "a.ipynb", "{}")
    with pytest.raises(NotLintable, match="is a notebook"):
        lint([notebook])
    outcome = lint([tmp_path])
    assert outcome.notebooks == (notebook,)
    assert outcome.files == 0


@pytest.mark.parametrize(
    ("data", "line", "why"),
    [
        (b"x = (\n", 1, "not valid Python"),
        (b"def f(:\n    pass\n", 1, "not valid Python"),
        (b"x = 1\ny = 'a\n", 2, "not valid Python"),
        (b"x = 1\0\n", 1, "null bytes"),
        (b"x = 1\ny = '\xff'\n", 2, "is not utf-8"),
        (b"# coding: klingon\n", 1, "unknown encoding"),
        (b"# coding: hex\n", 1, "not a text encoding"),
        (b"# coding: undefined\n", 1, "undefined encoding"),
        (b"x = " + b"(" * 5000 + b"1" + b")" * 5000, 1, "nested"),
        (b"x = " + b"+".join([b"a"] * 50_000), 1, "nested too deeply"),
        (b"print 'python 2'\n", 1, "not valid Python"),
    ],
    ids=[
        "open bracket",
        "colon",
        "text",
        "null",
        "encoding",
        "unknown encoding",
        "no encoding of texts",
        "no encoding",
        "brackets",
        "sum",
        "python 2",
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_looked_at(data, line, why, tmp_path):
    (tmp_path / "bad.py").write_bytes(data)
    write(tmp_path, "good.py", MODEL)
    outcome = lint([tmp_path])
    assert places(outcome, tmp_path) == [("good.py", 5)]
    (unread,) = outcome.unread
    assert unread.path == (tmp_path / "bad.py").as_posix()
    assert unread.line == line
    assert why in unread.message


def test_a_file_that_no_person_wrote(tmp_path):
    (tmp_path / "big.py").write_text("#" * (LARGEST + 1), "utf-8")
    (unread,) = lint([tmp_path]).unread
    assert "larger than" in unread.message


def test_a_long_file(tmp_path):
    classes = "\n".join(f"class C{n}(BaseModel):\n    email: str\n    n: int = {n}\n" for n in range(600))
    write(tmp_path, "long.py", f"from pydantic import BaseModel\n{classes}")
    assert len(lint([tmp_path]).findings) == 600


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "shift_jis", "euc_jp", "iso2022_jp"])
def test_encodings(encoding, tmp_path):
    head = "" if encoding.startswith("utf") else f"# coding: {encoding}\n"
    text = f"{head}from pydantic import BaseModel\nclass 顧客(BaseModel):\n    氏名: str = '姓名'; x = 1\n"
    path = write(tmp_path, "a.py", text, encoding)
    (found,) = lint([path]).findings
    assert found.symbol == "顧客.氏名"
    assert found.place.line == 3 + bool(head)
    assert (found.place.column, found.place.end_column) == (5, 19)  # characters, whatever a byte is


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=repr)
def test_line_ends(end, tmp_path):
    path = tmp_path / "a.py"
    path.write_bytes(MODEL.replace("\n", end).encode())
    (found,) = lint([path]).findings
    assert found.place.line == 5


def test_nothing_is_imported_or_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    marker = tmp_path / "ran"
    before = set(sys.modules)
    write(tmp_path, "harmful.py", f"open({str(marker)!r}, 'w').close()\n{MODEL}")
    write(tmp_path, "other.py", "from harmful import Customer\nimport harmful\n")
    assert len(lint([tmp_path]).findings) == 1
    assert not marker.exists()
    assert not {"harmful", "other"} & (set(sys.modules) - before)


NEW = """
from typing import Annotated
from pydantic import BaseModel
from purposeguard.notices import trendmicro_jp as tm
type Email = Annotated[str, tm.Registration]
type Text = str
class Customer(BaseModel):
    email: Email
    phone: Text
"""


if sys.version_info >= (3, 12):  # files are read in the syntax of the Python that runs

    def test_type_parameters_and_type_statements(tmp_path):
        found = lint([write(tmp_path, "a.py", NEW)]).findings
        assert [(one.place.line, one.rule) for one in found] == [(9, "untagged-personal-field")]


def test_links_that_go_round(tmp_path):
    write(tmp_path, "a/b.py", MODEL)
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert len(lint([tmp_path]).findings) == 1


CIRCLES = {
    "one.py": "from two import *\nfrom two import X\nA = B\nB = A\nclass C(C): ...\nclass D(E): ...\nclass E(D): ...\n",
    "two.py": "from one import *\nfrom one import X, Y\nT = list['T']\nclass M(X):\n    email: T\n    phone: 'Y'\n",
    "four.py": "def f():\n    def g():\n        return g\n    return g\n",
    "three.py": "x: 'x' = x\ndef f():\n    return f()\ntry:\n    f()\nexcept Exception:\n    pass\n",
}


def test_names_that_stand_for_each_other(tmp_path):
    for name, text in CIRCLES.items():
        write(tmp_path, name, text)
    outcome = lint([tmp_path])
    assert outcome.findings == ()
    assert outcome.unread == ()


def test_a_long_row_of_functions_and_classes(tmp_path):
    calls = "\n".join(f"def f{n}():\n    return f{n - 1}()" for n in range(1, 1500))
    classes = "\n".join(f"class C{n}(C{n - 1}):\n    email: str" for n in range(1, 120))
    write(tmp_path, "a.py", f"def f0(): ...\n{calls}\ntry:\n    f1499()\nexcept Exception:\n    pass\n")
    write(tmp_path, "b.py", f"from pydantic import BaseModel\nclass C0(BaseModel): ...\n{classes}\n")
    outcome = lint([tmp_path])
    assert outcome.unread == ()
    assert len(outcome.findings) == 119
