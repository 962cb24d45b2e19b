"""Functions of databases that read more than their arguments."""

from __future__ import annotations

import re
from typing import Any, Final

_READS_MORE: Final = re.compile(
    # PostgreSQL: statements, tables and cursors by name; other servers; files and large objects; statistics with values.
    r"(query|table|schema|database|cursor)_to_xml\w*|xpath_table|dblink\w*|postgres_fdw\w*|crosstab\w*|connectby|ts_stat"
    r"|ts_rewrite|pg_read_\w+|pg_ls_\w+|pg_stat\w*|pg_get_\w+|pg_logical_\w+|pg_export\w*|pg_execute\w*|lo_\w+|lo(get|read)"
    r"|set_config|pg_reload_conf|pg_terminate_backend|pg_cancel_backend|heap_page\w*|get_raw_page|pgstat\w*|cstore\w*"
    # SQLite: other code, files, and what lies below tables.
    r"|load_extension|readfile|writefile|edit|eval|fts3_tokenizer|sqlite_\w*|zipfile\w*"
    # Others.
    r"|load_file|sys_eval|sys_exec|openrowset|opendatasource|openquery|xp_\w+|read_\w+|query|query_table|system\w*",
    re.IGNORECASE | re.ASCII,
)

_TABLES: Final = re.compile(
    r"json_each|json_tree|jsonb_each|jsonb_tree|generate_series|unnest|jsonb?_each(_text)?|jsonb?_array_elements(_text)?"
    r"|jsonb?_object_keys|jsonb?_to_record(set)?|jsonb?_populate_record(set)?|jsonb_path_query|json_table"
    r"|regexp_matches|regexp_split_to_table|string_to_table|generate_subscripts|rows_from|xmltable|carray|string_split",
    re.IGNORECASE | re.ASCII,
)


def refusal_of(func: Any, *, as_table: bool = False) -> str | None:
    """Why it cannot be told what a function reads; None where it is its arguments alone.

    In the place of a table only those are known that make rows of their arguments.
    """
    name = str(func.name)
    if _READS_MORE.fullmatch(name):
        return f"the function `{name}` reads more than its arguments"
    if as_table and not _TABLES.fullmatch(name):
        return f"the function `{name}` stands in the place of a table, and what it reads is not known"
    return None
