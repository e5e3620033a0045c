"""The database: connections, statements, column types, encryption, migrations."""
