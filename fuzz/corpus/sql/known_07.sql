SELECT ticker FROM quotes WHERE max(last) > 1
