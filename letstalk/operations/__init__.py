"""Operations: health, retention, privacy, key rotation, backups."""
