-- Revision 0024: one notification in 100 ms for all publishers together. Expands only.

-- Not a counter: centralcloud.notify_decisions sets it, and nothing draws numbers from it.
CREATE SEQUENCE centralcloud.decisions_notified_ms MINVALUE 0 START 0;
COMMENT ON SEQUENCE centralcloud.decisions_notified_ms IS
    'when the consumers were last notified, in milliseconds since 1970 by the clock of the server; 0: never, or in a copy without the values of sequences';
