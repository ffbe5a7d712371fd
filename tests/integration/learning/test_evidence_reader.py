"""Reading evidence: however much there is, little of it is in memory in any form but that of its sums."""

import tracemalloc

from support.servers import execute

from centralcloud.learning.evidence_reader import EvidenceReader
from centralcloud.runtime.postgres.database import Database


def test_the_first_read_after_a_start_keeps_only_the_sums_of_the_evidence(
    database: Database, database_url: str
) -> None:
    execute(
        database_url,
        """
        INSERT INTO evidence_slices (slice_no, after_record_id) SELECT n, 0 FROM generate_series(101, 120) AS n;
        INSERT INTO evidence (slice_no, model_name, complexity_level, provider, instance_id, successes)
        SELECT slice_no, repeat('m', 100) || model, 'simple', 'p', 'i', 1
        FROM generate_series(101, 120) AS slice_no, generate_series(1, 1000) AS model;
        """,
    )
    pairs = {("m" * 100 + str(model), "simple") for model in range(1, 1001)}
    with database.transaction() as connection:
        tracemalloc.start()
        try:
            evidence = EvidenceReader().evidence(
                connection, None, history="", generation=0, pairs=pairs, excluded=[], reported={}
            )
            kept_bytes, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(evidence.slices) == 21
    assert peak_bytes - kept_bytes < 6_000_000, "all rows take 25 MB"
