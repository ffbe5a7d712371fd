-- {role}: gateways. The rights of an instance, and reporting feedback on requests. It reads and writes no table.
{create_role};
{rights}
GRANT EXECUTE ON FUNCTION centralcloud.report_feedback TO {role};
