SELECT ticker, count(*) FROM quotes GROUP BY ticker ORDER BY ticker
