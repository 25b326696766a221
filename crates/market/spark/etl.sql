-- Raw snapshots of the days `from` to `to` become the tables quotes, options and rejects, as run=`run`.
-- Generated from the definitions of crates/market: change them, not this text.
--
--   spark-sql --conf spark.sql.catalogImplementation=in-memory -f etl.sql \
--     -d from=2020-04-01 -d to=2020-04-02 -d days={2020-04-01,2020-04-02} -d run=ID \
--     -d raw=s3://bucket -d lake=s3://bucket

-- The result must not depend on the defaults of the cluster. A view is stored as its plan and not as its text, because
-- otherwise Spark would not recognise that the view reads a table that it has cached.
SET spark.sql.ansi.enabled = false;
SET spark.sql.parser.escapedStringLiterals = false;
SET spark.sql.sources.partitionOverwriteMode = dynamic;
SET spark.sql.legacy.storeAnalyzedPlanForView = true;

-- spark-sql replaces a variable that was not given by nothing. Without these checks the job would then read and write the
-- wrong folders.
SELECT
  assert_true('${from}' RLIKE r'\A[0-9]{4}-[0-9]{2}-[0-9]{2}\z' AND CAST('${from}' AS DATE) IS NOT NULL,
    'from is no day: give -d from=YYYY-MM-DD'),
  assert_true('${to}' RLIKE r'\A[0-9]{4}-[0-9]{2}-[0-9]{2}\z' AND CAST('${to}' AS DATE) IS NOT NULL,
    'to is no day: give -d to=YYYY-MM-DD'),
  assert_true('${from}' <= '${to}', 'the range is reversed: swap from and to'),
  -- The days as a glob: one, or alternatives between braces, with * at the end of a year or month. As a regular expression, it
  -- has to match each day of the range, because the job reads no other folders.
  assert_true('${days}' RLIKE r'\A(?:[0-9-]+[*]?|\{[0-9-]+[*]?(?:,[0-9-]+[*]?)*\})\z' AND forall(
    sequence(CAST('${from}' AS DATE), CAST('${to}' AS DATE)),
    day -> CAST(day AS STRING) RLIKE r'\A' || replace(replace(replace(replace(
      '${days}', '{', '(?:'), '}', ')'), ',', '|'), '*', '.*') || r'\z'),
    'days does not match each day of the range: give -d days={YYYY-MM-DD,YYYY-MM-*,YYYY-*}'),
  assert_true('${run}' RLIKE r'\A[A-Za-z0-9_-]{1,80}([.][2-9])?\z', 'run names no run: give -d run=ID'),
  assert_true('${raw}' RLIKE r'[^/]\z', 'raw is no folder: give -d raw=s3://bucket, without a trailing slash'),
  assert_true('${lake}' RLIKE r'[^/]\z', 'lake is no folder: give -d lake=s3://bucket, without a trailing slash'),
  -- The tables below exist for this job only. A metastore would keep them, and show them to all users.
  assert_true('${spark.sql.catalogImplementation}' = 'in-memory',
    'this job must not use a metastore: give --conf spark.sql.catalogImplementation=in-memory');

-- Raw files, line by line. Spark lists the folders of the days, and no others. A feed may have no files on these days.
CREATE TABLE raw (line STRING)
USING text
OPTIONS (lineSep = '\n', pathGlobFilter = '*_{flashpanel,options}.{csv,csv.gz}', recursiveFileLookup = 'true')
LOCATION '${raw}/{quotes/date=${days},options/date=${days}}';

-- The files of this run for each table, in the folder of the run, so that the folder of a table has only published rows.
-- With this setting, Spark knows only the partitions that this session writes, and lists no folder.
SET spark.sql.hive.manageFilesourcePartitions = true;

CREATE TABLE lake_quotes (
  intdate BIGINT,
  ticker STRING,
  last_close DOUBLE,
  open DOUBLE,
  max DOUBLE,
  min DOUBLE,
  last DOUBLE,
  qty_bid BIGINT,
  bid DOUBLE,
  ask DOUBLE,
  qty_ask BIGINT,
  num_trades DOUBLE,
  qty_total DOUBLE,
  total_volume DOUBLE,
  year INT,
  month INT,
  day INT
)
USING parquet
OPTIONS (compression = 'snappy', `mapreduce.fileoutputcommitter.marksuccessfuljobs` = 'false')
PARTITIONED BY (year, month, day)
LOCATION '${lake}/runs/run=${run}/quotes';

CREATE TABLE lake_options (
  intdate BIGINT,
  ticker STRING,
  optn_ua STRING,
  optn_style STRING,
  optn_tp STRING,
  optn_expn_days INT,
  optn_expn_date STRING,
  optn_strike DOUBLE,
  optn_bs_delta DOUBLE,
  optn_mkt_bid DOUBLE,
  optn_bs_bid DOUBLE,
  optn_mktbs_bid DOUBLE,
  ua_mkt_bid DOUBLE,
  optn_mkt_ask DOUBLE,
  optn_bs_ask DOUBLE,
  optn_mktbs_ask DOUBLE,
  ua_mkt_ask DOUBLE,
  bid_volimp DOUBLE,
  bid_volcone DOUBLE,
  ask_volimp DOUBLE,
  ask_volcone DOUBLE,
  year INT,
  month INT,
  day INT
)
USING parquet
OPTIONS (compression = 'snappy', `mapreduce.fileoutputcommitter.marksuccessfuljobs` = 'false')
PARTITIONED BY (year, month, day)
LOCATION '${lake}/runs/run=${run}/options';

CREATE TABLE lake_rejects (
  intdate BIGINT,
  source_file STRING,
  table_name STRING,
  ticker STRING,
  column_name STRING,
  text STRING,
  reason STRING,
  year INT,
  month INT,
  day INT
)
USING parquet
OPTIONS (compression = 'snappy', `mapreduce.fileoutputcommitter.marksuccessfuljobs` = 'false')
PARTITIONED BY (year, month, day)
LOCATION '${lake}/runs/run=${run}/rejects';

-- The properties of each feed: its separator; the raw columns after the ticker, and those of them that are published as
-- text or as numbers, in the order of the table; the kind of each number, and the maximum of a quantity.
-- The ticker is field 0. So the position of a name in raw_columns, counted from 1, is the index of its field.
CREATE TEMPORARY VIEW feeds AS
SELECT
  *,
  transform(words, name -> array_position(raw_columns, name)) AS words_at,
  transform(numbers, name -> array_position(raw_columns, name)) AS numbers_at
FROM VALUES
  ('quotes', ',',
    array('Abe', 'Ajuste', 'Fec', 'Max', 'Min', 'Ofc', 'Ofv', 'QOfc', 'QOfv', 'QUlt', 'Ult', 'Grupo', 'NNeg', 'Nome', 'QTot', 'Strike', 'VCTO', 'VolTot'),
    array(),
    array('Fec', 'Abe', 'Max', 'Min', 'Ult', 'QOfc', 'Ofc', 'Ofv', 'QOfv', 'NNeg', 'QTot', 'VolTot'),
    array('decimal', 'decimal', 'decimal', 'decimal', 'decimal', 'quantity', 'decimal', 'decimal', 'quantity', 'quantity', 'quantity', 'amount'),
    array(NULL, NULL, NULL, NULL, NULL, 9223372036854775807L, NULL, NULL, 9223372036854775807L, 9223372036854775807L, 9223372036854775807L, NULL)),
  ('options', ';',
    array('Du', 'ExrcPric', 'OptnStyle', 'OptnTp', 'TradgEndDt', 'Underlying', 'bid_opton', 'bid_undly', 'ask_opton', 'ask_undly', 'sector', 'bs_ask', 'bs_bid', 'my_ask', 'my_bid', 'bid_vol_imp', 'ask_vol_imp', 'bid_vol_cone', 'ask_vol_cone', 'bs_delta', 'new_bid_vol_imp', 'new_ask_vol_imp'),
    array('Underlying', 'OptnStyle', 'OptnTp', 'TradgEndDt'),
    array('Du', 'ExrcPric', 'bs_delta', 'bid_opton', 'bs_bid', 'my_bid', 'bid_undly', 'ask_opton', 'bs_ask', 'my_ask', 'ask_undly', 'bid_vol_imp', 'bid_vol_cone', 'ask_vol_imp', 'ask_vol_cone'),
    array('quantity', 'decimal', 'decimal', 'decimal', 'decimal', 'decimal', 'decimal', 'decimal', 'decimal', 'decimal', 'decimal', 'decimal', 'decimal', 'decimal', 'decimal'),
    array(2147483647L, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL))
AS feeds (feed, separator, raw_columns, words, numbers, kinds, most);

-- The records of the files. Cached, because all three tables are written from them.
CACHE LAZY TABLE records AS
WITH
  files AS (
    SELECT
      CASE WHEN contains(_metadata.file_name, '_flashpanel.') THEN 'quotes' WHEN contains(_metadata.file_name, '_options.') THEN 'options' END AS feed,
      _metadata.file_name AS source_file,
      line
    FROM raw
    WHERE regexp_extract(_metadata.file_path, '.*/date=([^/]+)/', 1) BETWEEN '${from}' AND '${to}'
  ),

  -- A line is UTF-8 if decoding and encoding its bytes returns the same bytes. Otherwise it is Windows-1252, which differs
  -- from Latin-1 in the characters from 80 to 9F. An empty line is not a record.
  lines AS (
    SELECT
      feed,
      source_file,
      regexp_replace(
        IF(encode(line, 'UTF-8') = CAST(line AS BINARY),
          line,
          translate(decode(CAST(line AS BINARY), 'ISO-8859-1'),
            '\u0080\u0082\u0083\u0084\u0085\u0086\u0087\u0088\u0089\u008A\u008B\u008C\u008E\u0091\u0092\u0093\u0094\u0095\u0096\u0097\u0098\u0099\u009A\u009B\u009C\u009E\u009F',
            '\u20AC\u201A\u0192\u201E\u2026\u2020\u2021\u02C6\u2030\u0160\u2039\u0152\u017D\u2018\u2019\u201C\u201D\u2022\u2013\u2014\u02DC\u2122\u0161\u203A\u0153\u017E\u0178')),
        r'\r\z', '') AS line
    FROM files
    WHERE line NOT IN ('', '\r')
  ),

  -- The header of each file that has columns behind those of its feed: the first line with the name of the last column. The
  -- files are read once more for it, but few lines have that name, and only these are split. The first block of a file is
  -- read by one task, in order, so that the numbers of its lines increase.
  header_lines AS (
    SELECT feed, source_file, min_by(line, number) AS line
    FROM (
      SELECT
        CASE WHEN contains(_metadata.file_name, '_flashpanel.') THEN 'quotes' WHEN contains(_metadata.file_name, '_options.') THEN 'options' END AS feed,
        _metadata.file_name AS source_file,
        line,
        monotonically_increasing_id() AS number
      FROM raw
      WHERE regexp_extract(_metadata.file_path, '.*/date=([^/]+)/', 1) BETWEEN '${from}' AND '${to}'
        AND _metadata.file_block_start = 0
        AND (
          contains(_metadata.file_name, '_flashpanel.') AND contains(line, 'VolTot')
          OR contains(_metadata.file_name, '_options.') AND contains(line, 'new_ask_vol_imp')
        )
    )
    GROUP BY feed, source_file
  ),
  header_texts AS (
    SELECT
      feed,
      source_file,
      regexp_replace(
        IF(encode(line, 'UTF-8') = CAST(line AS BINARY),
          line,
          translate(decode(CAST(line AS BINARY), 'ISO-8859-1'),
            '\u0080\u0082\u0083\u0084\u0085\u0086\u0087\u0088\u0089\u008A\u008B\u008C\u008E\u0091\u0092\u0093\u0094\u0095\u0096\u0097\u0098\u0099\u009A\u009B\u009C\u009E\u009F',
            '\u20AC\u201A\u0192\u201E\u2026\u2020\u2021\u02C6\u2030\u0160\u2039\u0152\u017D\u2018\u2019\u201C\u201D\u2022\u2013\u2014\u02DC\u2122\u0161\u203A\u0153\u017E\u0178')),
        r'\r\z', '') AS line
    FROM header_lines
  ),
  header_fields AS (
    SELECT
      feed,
      source_file,
      raw_columns,
      IF(contains(line, '"'),
        zip_with(
          regexp_extract_all(separator || line, separator || r'(?:"([^"]*+(?:""[^"]*+)*+)(?:"|\z))?+([^' || separator || ']*+)', 1),
          regexp_extract_all(separator || line, separator || r'(?:"([^"]*+(?:""[^"]*+)*+)(?:"|\z))?+([^' || separator || ']*+)', 2),
          (quoted, rest) -> replace(quoted, '""', '"') || rest),
        split(line, separator)) AS fields
    FROM header_texts JOIN feeds USING (feed)
  ),
  headers AS (
    SELECT
      feed,
      source_file,
      raw_columns,
      transform(slice(fields, 2, size(fields)), name -> btrim(name, '\u0009\u000A\u000B\u000C\u000D\u0020\u00A0')) AS header
    FROM header_fields
  ),
  longer_headers AS (
    SELECT feed, source_file, header
    FROM headers
    WHERE size(header) > size(raw_columns) AND slice(header, 1, size(raw_columns)) = raw_columns
  ),

  -- A field that starts with a quote extends to the next quote that is not doubled; the text after that quote, up to the
  -- separator, belongs to the field unchanged. A separator is prepended to the line, so that one precedes every field.
  split AS (
    SELECT /*+ BROADCAST(longer_headers) */
      feed,
      source_file,
      line,
      coalesce(header, raw_columns) AS header,
      words_at,
      numbers,
      numbers_at,
      kinds,
      most,
      IF(contains(line, '"'),
        zip_with(
          regexp_extract_all(separator || line, separator || r'(?:"([^"]*+(?:""[^"]*+)*+)(?:"|\z))?+([^' || separator || ']*+)', 1),
          regexp_extract_all(separator || line, separator || r'(?:"([^"]*+(?:""[^"]*+)*+)(?:"|\z))?+([^' || separator || ']*+)', 2),
          (quoted, rest) -> replace(quoted, '""', '"') || rest),
        split(line, separator)) AS fields,
      NOT contains(line, '"') OR '' = regexp_replace(separator || line,
        r'\A(?:' || separator || r'(?:"[^"]*+(?:""[^"]*+)*+"|(?!"))[^' || separator || r']*+)*+\z', '') AS closed
    FROM lines JOIN feeds USING (feed) LEFT JOIN longer_headers USING (feed, source_file)
  ),

  -- A record is published, dropped, or rejected as a whole. The first line of a file is dropped as a repeated header. No
  -- index of a published cell is that of an added column.
  outcomes AS (
    SELECT
      *,
      btrim(fields[0], '\u0009\u000A\u000B\u000C\u000D\u0020\u00A0') AS ticker,
      CASE
        WHEN ticker = '' THEN 'blank_ticker'
        -- The cheap test first: in nearly every other record, the last cell differs from that of the header.
        WHEN btrim(element_at(fields, -1), '\u0009\u000A\u000B\u000C\u000D\u0020\u00A0') = element_at(header, -1)
            AND transform(slice(fields, 2, size(fields)), name -> btrim(name, '\u0009\u000A\u000B\u000C\u000D\u0020\u00A0')) = header
          THEN 'header_repeat'
        WHEN NOT closed THEN 'unclosed_quote'
        WHEN size(fields) <> 1 + size(header) THEN 'field_count'
        ELSE 'published'
      END AS outcome
    FROM split
  ),

  -- The cells of a published record, and the text of a rejected one.
  cells AS (
    SELECT
      feed, source_file, ticker, outcome, numbers AS names, kinds, most,
      IF(outcome IN ('unclosed_quote', 'field_count'), line, NULL) AS ragged,
      IF(outcome = 'published', transform(words_at, at -> nullif(btrim(fields[at], '\u0009\u000A\u000B\u000C\u000D\u0020\u00A0'), '')), NULL) AS words,
      IF(outcome = 'published', transform(numbers_at, at -> fields[at]), NULL) AS texts,
      transform(texts, text -> btrim(text, '\u0009\u000A\u000B\u000C\u000D\u0020\u00A0')) AS cells
    FROM outcomes
  ),

  -- Separators that group thousands are removed, and a decimal mark becomes a point. A single separator is a decimal mark,
  -- but in amounts and quantities it groups thousands if exactly three digits follow it.
  ungrouped AS (
    SELECT
      *,
      transform(cells, (cell, i) ->
        CASE
          WHEN cell RLIKE r'\A[+-]?[0-9]{1,3}([.,])[0-9]{3}(?:\1[0-9]{3})*+(?:(?!\1)[.,][0-9]*+)?\z'
              AND (kinds[i] <> 'decimal' OR cell RLIKE '[.,].*[.,]')
            THEN replace(replace(cell, regexp_extract(cell, '[.,]', 0), ''), ',', '.')
          WHEN kinds[i] <> 'decimal' AND cell RLIKE r'\A[+-]?[0-9]*+[.,][0-9]{3}\z' THEN NULL
          ELSE replace(cell, ',', '.')
        END) AS ungrouped
    FROM cells
  ),

  -- Digits after a suffix are the decimals of the number before it, and the suffix is an exponent: 10k12 is 10.12k, which
  -- is 10.12e3. A text that has none of these forms is not a number.
  numbers AS (
    SELECT
      *,
      transform(ungrouped, number ->
        CASE
          WHEN number RLIKE r'\A[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?\z' THEN lower(number)
          WHEN number RLIKE r'\A[+-]?[0-9]++(?:[kKmMbB][0-9]{0,3}|\.[0-9]++[kKmMbB])\z' THEN
            replace(replace(replace(lower(
              regexp_replace(number, r'([kKmMbB])([0-9]+)', '.$2$1')), 'k', 'e3'), 'm', 'e6'), 'b', 'e9')
        END) AS numbers
    FROM ungrouped
  ),

  -- A decimal or an amount is cast to a double. A quantity never passes through a double: it is its digits up to the last
  -- one that is not 0, padded with zeros to as many places as the exponent puts before the decimal mark. The exponent is a
  -- double, because it may be too long for an integer. 20 zeros are enough: no integer has more digits.
  places AS (
    SELECT
      *,
      transform(numbers, (number, i) -> IF(kinds[i] = 'quantity', NULL, CAST(number AS DOUBLE))) AS doubles,
      transform(numbers, (number, i) -> IF(kinds[i] = 'quantity', substring_index(number, 'e', 1), NULL)) AS mantissas,
      transform(mantissas, mantissa -> rtrim('0', translate(mantissa, '+-.', ''))) AS digits,
      transform(mantissas, (mantissa, i) ->
        greatest(0, length(ltrim('+-', substring_index(mantissa, '.', 1)))
          + IF(contains(numbers[i], 'e'), CAST(substring_index(numbers[i], 'e', -1) AS DOUBLE), 0))) AS places
    FROM numbers
  ),
  quantities AS (
    SELECT
      *,
      transform(digits, (digits, i) ->
        try_cast('0' || rpad(digits, CAST(least(places[i], length(digits) + 20) AS INT), '0') AS BIGINT)) AS integers
    FROM places
  ),

  -- The reason why a cell is rejected, or NULL.
  reasons AS (
    SELECT
      *,
      transform(numbers, (number, i) ->
        CASE
          WHEN lower(cells[i]) IN ('', '-', '--', 'nan', 'null', 'none', 'n/d', 'n/a', 'abe') THEN NULL
          WHEN number IS NULL THEN 'not_a_number'
          WHEN kinds[i] <> 'decimal' AND number RLIKE r'\A-[0.]*[1-9]' THEN 'negative'
          WHEN kinds[i] <> 'quantity' THEN IF(abs(doubles[i]) = DOUBLE('Infinity'), 'out_of_range', NULL)
          WHEN length(digits[i]) > places[i] THEN 'not_whole'
          WHEN integers[i] IS NULL OR integers[i] > most[i] THEN 'out_of_range'
        END) AS reasons
    FROM quantities
  )

SELECT
  feed,
  source_file,
  CAST(left(source_file, 12) AS BIGINT) AS intdate,
  CAST(substr(source_file, 1, 4) AS INT) AS year,
  CAST(substr(source_file, 5, 2) AS INT) AS month,
  CAST(substr(source_file, 7, 2) AS INT) AS day,
  ticker,
  outcome,
  words,
  transform(doubles, (double, i) -> IF(reasons[i] IS NULL, double, NULL)) AS doubles,
  transform(integers, (integer, i) -> IF(reasons[i] IS NULL, integer, NULL)) AS integers,
  CASE
    WHEN ragged IS NOT NULL THEN array(struct('' AS column_name, ragged AS text, outcome AS reason))
    WHEN exists(reasons, reason -> reason IS NOT NULL) THEN
      transform(
        filter(sequence(0, size(reasons) - 1), i -> reasons[i] IS NOT NULL),
        i -> struct(names[i] AS column_name, texts[i] AS text, reasons[i] AS reason))
  END AS rejects
FROM reasons;

INSERT OVERWRITE TABLE lake_quotes
SELECT /*+ REBALANCE(year, month, day) */
  intdate,
  ticker,
  doubles[0] AS last_close,
  doubles[1] AS open,
  doubles[2] AS max,
  doubles[3] AS min,
  doubles[4] AS last,
  integers[5] AS qty_bid,
  doubles[6] AS bid,
  doubles[7] AS ask,
  integers[8] AS qty_ask,
  CAST(integers[9] AS DOUBLE) AS num_trades,
  CAST(integers[10] AS DOUBLE) AS qty_total,
  doubles[11] AS total_volume,
  year,
  month,
  day
FROM records
WHERE feed = 'quotes' AND outcome = 'published'
SORT BY year, month, day, ticker, intdate;

INSERT OVERWRITE TABLE lake_options
SELECT /*+ REBALANCE(year, month, day) */
  intdate,
  ticker,
  words[0] AS optn_ua,
  words[1] AS optn_style,
  words[2] AS optn_tp,
  CAST(integers[0] AS INT) AS optn_expn_days,
  words[3] AS optn_expn_date,
  doubles[1] AS optn_strike,
  doubles[2] AS optn_bs_delta,
  doubles[3] AS optn_mkt_bid,
  doubles[4] AS optn_bs_bid,
  doubles[5] AS optn_mktbs_bid,
  doubles[6] AS ua_mkt_bid,
  doubles[7] AS optn_mkt_ask,
  doubles[8] AS optn_bs_ask,
  doubles[9] AS optn_mktbs_ask,
  doubles[10] AS ua_mkt_ask,
  doubles[11] AS bid_volimp,
  doubles[12] AS bid_volcone,
  doubles[13] AS ask_volimp,
  doubles[14] AS ask_volcone,
  year,
  month,
  day
FROM records
WHERE feed = 'options' AND outcome = 'published'
SORT BY year, month, day, ticker, intdate;

INSERT OVERWRITE TABLE lake_rejects
SELECT /*+ REBALANCE(year, month, day) */
  intdate,
  source_file,
  feed AS table_name,
  ticker,
  column_name,
  text,
  reason,
  year,
  month,
  day
FROM records LATERAL VIEW inline(rejects) AS column_name, text, reason
SORT BY year, month, day, ticker, intdate;
