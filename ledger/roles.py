"""What a server lets whom do: one who reads and checks, one who records, and one who may only ask for journal entries.

Roles are the server's and not the ledger's: an operator makes them, gives them to users, and may change them. Nothing
here can be run by the embedded engine, which has no users; its parser reads every statement in a test.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.place import Server

AUDITOR = "auditor"
COLLECTOR = "ledger_collector"
REQUESTER = "ledger_requester"

_STATEMENTS = f"""
CREATE SETTINGS PROFILE IF NOT EXISTS {AUDITOR} SETTINGS
    readonly = 2,
    allow_ddl = 0 CONST,
    allow_introspection_functions = 0 CONST,
    max_execution_time = 60 MAX 300,
    timeout_overflow_mode = 'throw' CONST,
    max_memory_usage = 8000000000 MAX 16000000000,
    max_result_rows = 1000000 MAX 10000000,
    result_overflow_mode = 'throw' CONST,
    read_overflow_mode = 'throw' CONST,
    max_concurrent_queries_for_user = 8,
    skip_unavailable_shards = 0 CONST,
    distributed_product_mode = 'global',
    join_use_nulls = 0;

CREATE ROLE IF NOT EXISTS {AUDITOR} SETTINGS PROFILE '{AUDITOR}';

CREATE QUOTA IF NOT EXISTS {AUDITOR} KEYED BY user_name
    FOR INTERVAL 1 hour MAX queries = 3600, execution_time = 1800, read_rows = 1000000000000
    TO {AUDITOR};

GRANT SELECT ON DATABASE.* TO {AUDITOR};

CREATE ROLE IF NOT EXISTS {COLLECTOR};

GRANT SELECT, INSERT ON DATABASE.* TO {COLLECTOR};

CREATE ROLE IF NOT EXISTS {REQUESTER};

GRANT SELECT ON DATABASE.* TO {REQUESTER};

GRANT INSERT(id, kind, author, data) ON DATABASE.journal_requests TO {REQUESTER};
"""
_ON_CLUSTER = re.compile(r"^(GRANT|CREATE (?:SETTINGS PROFILE|ROLE|QUOTA) IF NOT EXISTS \w+)")


def statements(server: Server) -> list[str]:
    """In order; each can be run again. An operator's own changes to what exists already stay."""
    found = [part.strip() for part in _STATEMENTS.replace("DATABASE", server.database).split(";\n") if part.strip()]
    if server.cluster is None:
        return found
    return [_ON_CLUSTER.sub(rf"\1 ON CLUSTER {server.cluster}", statement) for statement in found]
