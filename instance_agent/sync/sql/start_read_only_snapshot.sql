-- As the first statement of a transaction: all its queries see the database at one moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
