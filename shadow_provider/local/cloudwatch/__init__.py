"""The local CloudWatch: metric values, statistics, metric math, and alarms that evaluate."""
