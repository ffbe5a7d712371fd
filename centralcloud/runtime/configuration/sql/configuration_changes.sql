-- The newest versions of the configuration with their authors; of a kind or an entry those that changed it.
SELECT version, at, who, via, source, reason, changed, entries
FROM centralcloud.configuration_changes(%(most)s, %(kind)s, %(id)s);
