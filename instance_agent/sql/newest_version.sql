SELECT coalesce(max(version), 0) FROM centralcloud.current_scores();
