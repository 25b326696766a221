SELECT ticker, lst FROM quotes
