SELECT n + 1 AS next FROM (VALUES (1), (2)) AS t(n)
