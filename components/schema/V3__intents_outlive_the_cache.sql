-- An intent stays for longer than any value of the cache, which may be restored
-- from an older file: `written` says that the cache has it, where its row used
-- to be deleted.

ALTER TABLE cache_repair ADD COLUMN written boolean NOT NULL DEFAULT false;

-- What is to be written is found among however many that are.
CREATE INDEX cache_repair_left ON cache_repair (short_code) WHERE NOT written;
