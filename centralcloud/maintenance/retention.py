"""How long each kind of row is kept."""

from pydantic import BaseModel, ConfigDict, Field


class Retention(BaseModel):
    """Days for which rows are kept.

    Attributes:
        records_days: routing records; whole weekly partitions are dropped. 0 keeps them forever.
        decision_ids_days: ids of decisions. A resend after that is counted again.
        score_updates_days: messages in `model_score_updates`.
        roll_ups_days: hourly roll-ups in `model_performance`, and the sums of use.
        dead_letters_days: dead letters, from the time they were replayed or discarded; open ones are kept.
        findings_days: findings, from the time they were closed; open ones are kept.
        score_history_days: replaced scores, and runs of the learner that published something.
        request_plans_days: the plans of requests, in `request_plans`. 0: ingest stores none.
        feedback_days: feedback on requests, with its comments.
        fleet_minutes_days: the state of the fleet by the minute, in `fleet_minutes`.
        instances_days: instances, from the last time that they acknowledged a score. One that comes back is listed again.
    """

    model_config = ConfigDict(frozen=True)

    records_days: int = Field(default=90, ge=0, le=36_500)
    decision_ids_days: int = Field(default=7, ge=1, le=3650)
    score_updates_days: int = Field(default=30, ge=1, le=3650)
    roll_ups_days: int = Field(default=400, ge=1, le=36_500)
    dead_letters_days: int = Field(default=30, ge=1, le=36_500)
    findings_days: int = Field(default=90, ge=1, le=36_500)
    score_history_days: int = Field(default=400, ge=1, le=36_500)
    request_plans_days: int = Field(default=7, ge=0, le=3650)
    feedback_days: int = Field(default=90, ge=1, le=36_500)
    fleet_minutes_days: int = Field(default=14, ge=1, le=400)
    instances_days: int = Field(default=30, ge=1, le=36_500)
