"""The read-only part of ClickHouse's HTTP interface over the embedded ledger, for curl, Grafana, JDBC and the like."""
