SELECT * FROM "quotes$partitions" ORDER BY day
