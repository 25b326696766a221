SELECT * FROM "quotes$partitions" ORDER BY d.y
