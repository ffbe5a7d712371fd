-- {role}: publish decisions, read scores, acknowledge them, and nothing else; no table and no queue.
{create_role};
{rights}
