//! The engine's job as Spark SQL text, for `spark-sql -f` on EMR.
//!
//! Both engines have to write the same rows, so this text is generated from the same definitions as the engine: tables,
//! feeds, null tokens, reasons, the code page. Splitting lines and the number contract cannot be shared between Rust and
//! SQL. Here they are a few stages in the order of [`crate::record`] and [`crate::number`]; `tests/spark_parity` compares the
//! tables of the two engines, bit for bit.
//!
//! A cell is rewritten, as text, to a number that Java parses, and then cast once. No intermediate value is a double.
//!
//! The text is recorded as `spark/etl.sql`, for review; a test compares it with [`sql`]. After a change, write it with
//!
//! ```text
//! cargo run --release -p market --example spark_job > crates/market/spark/etl.sql
//! ```

use crate::number::{NULL_TOKENS, Reason, trim};
use chrono::{Datelike, NaiveDate};

use crate::partition::{self, DateRange};
use crate::record::{Ragged, decode};
use crate::run::RunId;
use crate::snapshot::Feed;
use crate::table::{Column, ColumnType, Kind, RejectField, Source, TableName};

/// Returns the whole job, as statements for the `spark-sql` of Spark 3.5.
///
/// Its arguments are [`variables`]. It refuses to run without `--conf spark.sql.catalogImplementation=in-memory`, or the same
/// in the cluster's `spark-defaults`. The text is ASCII, because `spark-sql` reads a file in the charset of its machine.
///
/// A day of a table without rows gets no folder: Spark does not write empty partitions.
pub fn sql() -> String {
    let mut parts = vec![HEAD.to_owned(), raw_table(), lake_tables(), feeds(), records()];
    parts.extend(Feed::ALL.map(publish_feed));
    parts.push(publish_rejects());
    parts.join("\n")
}

/// A program for `PySpark` that runs the statements of [`sql`], where there is no `spark-sql`. Its arguments are the URI of the text and
/// `NAME=VALUE` of each of [`variables`].
pub const PROGRAM: &str = include_str!("../spark/run_sql.py");

/// Returns the variables of the job, for options `-d NAME=VALUE`. `raw` and `lake` are folders, without a trailing slash.
pub fn variables(range: DateRange, run: &RunId, raw: &str, lake: &str) -> [(&'static str, String); 6] {
    [
        ("from", range.from().to_string()),
        ("to", range.to().to_string()),
        ("days", days(range)),
        ("run", run.to_string()),
        ("raw", raw.to_owned()),
        ("lake", lake.to_owned()),
    ]
}

/// Returns the glob of Hadoop that matches exactly the days of a range: whole years and months as `2020-*` and `2020-05-*`,
/// other days one by one. A single day has no special character. The glob of the longest possible range has 2,300
/// characters; the arguments of a step may have 10,240 together.
/// <https://docs.aws.amazon.com/emr/latest/APIReference/API_AddJobFlowSteps.html>
pub fn days(range: DateRange) -> String {
    let mut globs = Vec::new();
    let mut day = range.from();
    while day <= range.to() {
        let (glob, next) = longest_period(day, range.to());
        globs.push(glob);
        day = next;
    }
    if globs.len() == 1 { globs.remove(0) } else { format!("{{{}}}", globs.join(",")) }
}

/// Returns the glob of the year, month or day that starts on `day` and does not end after `last`, and the day after it.
fn longest_period(day: NaiveDate, last: NaiveDate) -> (String, NaiveDate) {
    let year = (day.ordinal() == 1).then(|| (day.format("%Y-*"), NaiveDate::from_ymd_opt(day.year() + 1, 1, 1)));
    let month = (day.day() == 1).then(|| (day.format("%Y-%m-*"), day.checked_add_months(chrono::Months::new(1))));
    let periods = [year, month].into_iter().flatten();
    let mut within = periods.filter_map(|(glob, next)| Some((glob.to_string(), next?)));
    let longest = within.find(|(_, next)| next.pred_opt().is_some_and(|end| end <= last));
    longest.unwrap_or_else(|| (day.to_string(), day + chrono::Days::new(1)))
}

const HEAD: &str = r"-- Raw snapshots of the days `from` to `to` become the tables quotes, options and rejects, as run=`run`.
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
";

/// One table for both feeds: Spark fails for a glob without a match (`DataSource.checkAndGlobPathIfNecessary`), so a table for
/// each feed would fail on days on which a feed has no files. A run on days without any files is not started.
///
/// Hadoop expands a brace that contains a slash to one glob per alternative, and lists only folders above a special character
/// (`GlobExpander`, `Globber`). So it lists the folder of a feed once, and not for a single day. The glob selects the days, so
/// Spark does not need to find partitions. It could not either, because it refuses a table whose partitions are in two folders.
fn raw_table() -> String {
    let folders = Feed::ALL.map(|feed| format!("{feed}/date=${{days}}"));
    let stems = Feed::ALL.map(Feed::file_stem);
    format!(
        r"-- Raw files, line by line. Spark lists the folders of the days, and no others. A feed may have no files on these days.
CREATE TABLE raw (line STRING)
USING text
OPTIONS (lineSep = '\n', pathGlobFilter = '*_{{{stems}}}.{{csv,csv.gz}}', recursiveFileLookup = 'true')
LOCATION '${{raw}}/{{{folders}}}';
",
        stems = stems.join(","),
        folders = folders.join(","),
    )
}

fn lake_tables() -> String {
    let keys = partition::KEYS;
    let tables = TableName::ALL.map(|table| {
        let columns = table.columns().iter().map(|column| format!("{} {}", column.name, sql_type(column.ty)));
        let keys_of_day = keys.map(|key| format!("{key} INT"));
        format!(
            r"
CREATE TABLE lake_{table} (
  {columns}
)
USING parquet
OPTIONS (compression = 'snappy', `mapreduce.fileoutputcommitter.marksuccessfuljobs` = 'false')
PARTITIONED BY ({keys})
LOCATION '${{lake}}/runs/run=${{run}}/{table}';
",
            columns = stacked(columns.chain(keys_of_day)),
            keys = keys.join(", "),
        )
    });
    format!(
        r"-- The files of this run for each table, in the folder of the run, so that the folder of a table has only published rows.
-- With this setting, Spark knows only the partitions that this session writes, and lists no folder.
SET spark.sql.hive.manageFilesourcePartitions = true;
{}",
        tables.concat()
    )
}

/// The definitions of the feeds as a table of two rows, so that each later stage is written once for both.
fn feeds() -> String {
    let rows = Feed::ALL.map(|feed| {
        let (words, numbers) = (words(feed), numbers(feed));
        let most = numbers.iter().map(|column| most(column).map_or("NULL".to_owned(), |most| format!("{most}L")));
        let array =
            |items: &mut dyn Iterator<Item = String>| format!("array({})", items.collect::<Vec<_>>().join(", "));
        let values = [
            format!("{}, {}", literal(feed.as_str()), literal(&char::from(feed.separator()).to_string())),
            array(&mut feed.raw_columns().iter().map(|name| literal(name))),
            array(&mut words.iter().filter_map(raw_name).map(literal)),
            array(&mut numbers.iter().filter_map(raw_name).map(literal)),
            array(&mut numbers.iter().map(|column| literal(kind(column)))),
            array(&mut { most }),
        ];
        format!("({})", values.join(",\n    "))
    });
    format!(
        r"-- The properties of each feed: its separator; the raw columns after the ticker, and those of them that are published as
-- text or as numbers, in the order of the table; the kind of each number, and the maximum of a quantity.
-- The ticker is field 0. So the position of a name in raw_columns, counted from 1, is the index of its field.
CREATE TEMPORARY VIEW feeds AS
SELECT
  *,
  transform(words, name -> array_position(raw_columns, name)) AS words_at,
  transform(numbers, name -> array_position(raw_columns, name)) AS numbers_at
FROM VALUES
  {}
AS feeds (feed, separator, raw_columns, words, numbers, kinds, most);
",
        rows.join(",\n  ")
    )
}

/// The text between the quotes of a field, up to a quote that is not doubled or to the end of the line.
const QUOTED: &str = r#"[^"]*+(?:""[^"]*+)*+"#;

/// Digits in groups of three after a first group, with one kind of separator, and possibly a decimal mark of the other.
const GROUPED: &str = r"\A[+-]?[0-9]{1,3}([.,])[0-9]{3}(?:\1[0-9]{3})*+(?:(?!\1)[.,][0-9]*+)?\z";

/// A single separator before exactly three digits.
const THREE_DIGITS: &str = r"\A[+-]?[0-9]*+[.,][0-9]{3}\z";

/// A number without a suffix, after its decimal mark was replaced by a point.
const PLAIN: &str = r"\A[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?\z";

/// A number with a suffix, after its decimal mark was replaced by a point.
const SUFFIXED: &str = r"\A[+-]?[0-9]++(?:[kKmMbB][0-9]{0,3}|\.[0-9]++[kKmMbB])\z";

/// The expression that decodes the column `line` and removes its line end.
fn text_of_line() -> String {
    let (latin, windows) = code_page();
    format!(
        r"regexp_replace(
        IF(encode(line, 'UTF-8') = CAST(line AS BINARY),
          line,
          translate(decode(CAST(line AS BINARY), 'ISO-8859-1'),
            '{latin}',
            '{windows}')),
        r'\r\z', '')"
    )
}

/// The expression that splits the decoded column `line` into fields at the column `separator`.
fn fields_of_line() -> String {
    format!(
        r#"IF(contains(line, '"'),
        zip_with(
          regexp_extract_all(separator || line, separator || r'(?:"({QUOTED})(?:"|\z))?+([^' || separator || ']*+)', 1),
          regexp_extract_all(separator || line, separator || r'(?:"({QUOTED})(?:"|\z))?+([^' || separator || ']*+)', 2),
          (quoted, rest) -> replace(quoted, '""', '"') || rest),
        split(line, separator))"#
    )
}

/// The stages from lines to values and rejects, as the cached table `records`.
fn records() -> String {
    let is_of = |feed: Feed| format!("contains(_metadata.file_name, '_{}.')", feed.file_stem());
    let feeds = Feed::ALL.map(|feed| format!("WHEN {} THEN {}", is_of(feed), literal(feed.as_str())));
    let feeds = format!("CASE {} END", feeds.join(" "));
    let in_range = "regexp_extract(_metadata.file_path, '.*/date=([^/]+)/', 1) BETWEEN '${from}' AND '${to}'";
    let last_names = Feed::ALL.map(|feed| {
        let last = feed.raw_columns().last().unwrap_or(&"");
        format!("{} AND contains(line, {})", is_of(feed), literal(last))
    });
    let keys = partition::KEYS.iter().zip(["1, 4", "5, 2", "7, 2"]);
    let keys = keys.map(|(key, digits)| format!("CAST(substr(source_file, {digits}) AS INT) AS {key}"));
    let null_tokens: Vec<_> = [""].into_iter().chain(NULL_TOKENS).map(literal).collect();
    let (blank, text, fields) = (blank(), text_of_line(), fields_of_line());
    format!(
        r#"-- The records of the files. Cached, because all three tables are written from them.
CACHE LAZY TABLE records AS
WITH
  files AS (
    SELECT
      {feeds} AS feed,
      _metadata.file_name AS source_file,
      line
    FROM raw
    WHERE {in_range}
  ),

  -- A line is UTF-8 if decoding and encoding its bytes returns the same bytes. Otherwise it is Windows-1252, which differs
  -- from Latin-1 in the characters from 80 to 9F. An empty line is not a record.
  lines AS (
    SELECT
      feed,
      source_file,
      {text} AS line
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
        {feeds} AS feed,
        _metadata.file_name AS source_file,
        line,
        monotonically_increasing_id() AS number
      FROM raw
      WHERE {in_range}
        AND _metadata.file_block_start = 0
        AND (
          {last_names}
        )
    )
    GROUP BY feed, source_file
  ),
  header_texts AS (
    SELECT
      feed,
      source_file,
      {text} AS line
    FROM header_lines
  ),
  header_fields AS (
    SELECT
      feed,
      source_file,
      raw_columns,
      {fields} AS fields
    FROM header_texts JOIN feeds USING (feed)
  ),
  headers AS (
    SELECT
      feed,
      source_file,
      raw_columns,
      transform(slice(fields, 2, size(fields)), name -> btrim(name, {blank})) AS header
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
      {fields} AS fields,
      NOT contains(line, '"') OR '' = regexp_replace(separator || line,
        r'\A(?:' || separator || r'(?:"{QUOTED}"|(?!"))[^' || separator || r']*+)*+\z', '') AS closed
    FROM lines JOIN feeds USING (feed) LEFT JOIN longer_headers USING (feed, source_file)
  ),

  -- A record is published, dropped, or rejected as a whole. The first line of a file is dropped as a repeated header. No
  -- index of a published cell is that of an added column.
  outcomes AS (
    SELECT
      *,
      btrim(fields[0], {blank}) AS ticker,
      CASE
        WHEN ticker = '' THEN 'blank_ticker'
        -- The cheap test first: in nearly every other record, the last cell differs from that of the header.
        WHEN btrim(element_at(fields, -1), {blank}) = element_at(header, -1)
            AND transform(slice(fields, 2, size(fields)), name -> btrim(name, {blank})) = header
          THEN 'header_repeat'
        WHEN NOT closed THEN '{unclosed_quote}'
        WHEN size(fields) <> 1 + size(header) THEN '{field_count}'
        ELSE 'published'
      END AS outcome
    FROM split
  ),

  -- The cells of a published record, and the text of a rejected one.
  cells AS (
    SELECT
      feed, source_file, ticker, outcome, numbers AS names, kinds, most,
      IF(outcome IN ('{unclosed_quote}', '{field_count}'), line, NULL) AS ragged,
      IF(outcome = 'published', transform(words_at, at -> nullif(btrim(fields[at], {blank}), '')), NULL) AS words,
      IF(outcome = 'published', transform(numbers_at, at -> fields[at]), NULL) AS texts,
      transform(texts, text -> btrim(text, {blank})) AS cells
    FROM outcomes
  ),

  -- Separators that group thousands are removed, and a decimal mark becomes a point. A single separator is a decimal mark,
  -- but in amounts and quantities it groups thousands if exactly three digits follow it.
  ungrouped AS (
    SELECT
      *,
      transform(cells, (cell, i) ->
        CASE
          WHEN cell RLIKE r'{GROUPED}'
              AND (kinds[i] <> 'decimal' OR cell RLIKE '[.,].*[.,]')
            THEN replace(replace(cell, regexp_extract(cell, '[.,]', 0), ''), ',', '.')
          WHEN kinds[i] <> 'decimal' AND cell RLIKE r'{THREE_DIGITS}' THEN NULL
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
          WHEN number RLIKE r'{PLAIN}' THEN lower(number)
          WHEN number RLIKE r'{SUFFIXED}' THEN
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
          WHEN lower(cells[i]) IN ({null_tokens}) THEN NULL
          WHEN number IS NULL THEN '{not_a_number}'
          WHEN kinds[i] <> 'decimal' AND number RLIKE r'\A-[0.]*[1-9]' THEN '{negative}'
          WHEN kinds[i] <> 'quantity' THEN IF(abs(doubles[i]) = DOUBLE('Infinity'), '{out_of_range}', NULL)
          WHEN length(digits[i]) > places[i] THEN '{not_whole}'
          WHEN integers[i] IS NULL OR integers[i] > most[i] THEN '{out_of_range}'
        END) AS reasons
    FROM quantities
  )

SELECT
  feed,
  source_file,
  CAST(left(source_file, 12) AS BIGINT) AS intdate,
  {keys},
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
"#,
        last_names = last_names.join("\n          OR "),
        unclosed_quote = Ragged::UnclosedQuote.as_str(),
        field_count = Ragged::FieldCount.as_str(),
        null_tokens = null_tokens.join(", "),
        not_a_number = Reason::NotANumber.as_str(),
        negative = Reason::Negative.as_str(),
        not_whole = Reason::NotWhole.as_str(),
        out_of_range = Reason::OutOfRange.as_str(),
        keys = stacked(keys),
    )
}

fn publish_feed(feed: Feed) -> String {
    let columns = TableName::from(feed).columns().iter().map(|column| value(column, feed));
    let source = format!("records\nWHERE feed = {} AND outcome = 'published'", literal(feed.as_str()));
    publish(feed.into(), columns, &source)
}

fn publish_rejects() -> String {
    let columns = TableName::Rejects.columns().iter().map(|column| match column.source {
        Source::Reject(RejectField::TableName) => format!("feed AS {}", column.name),
        _ => column.name.to_owned(),
    });
    publish(TableName::Rejects, columns, "records LATERAL VIEW inline(rejects) AS column_name, text, reason")
}

/// Writes the rows of `source` as the files of this run: as few per day as its size allows, sorted by ticker, so that a
/// reader can prune row groups.
fn publish(table: TableName, columns: impl Iterator<Item = String>, source: &str) -> String {
    format!(
        r"INSERT OVERWRITE TABLE lake_{table}
SELECT /*+ REBALANCE({keys}) */
  {columns}
FROM {source}
SORT BY {keys}, ticker, intdate;
",
        keys = partition::KEYS.join(", "),
        columns = stacked(columns.chain(partition::KEYS.map(str::to_owned))),
    )
}

/// Returns the expression of a column of a feed's table over the columns of [`records`].
fn value(column: &Column, feed: Feed) -> String {
    let name = column.name;
    let among = |columns: Vec<Column>| columns.iter().position(|other| other == column).expect("a column of the feed");
    let Source::Cell { kind, .. } = column.source else { return name.to_owned() };
    match (kind, column.ty) {
        (Kind::Text, _) => format!("words[{}] AS {name}", among(words(feed))),
        (Kind::Decimal | Kind::Amount, _) => format!("doubles[{}] AS {name}", among(numbers(feed))),
        (Kind::Quantity, ColumnType::BigInt) => format!("integers[{}] AS {name}", among(numbers(feed))),
        (Kind::Quantity, ty) => format!("CAST(integers[{}] AS {}) AS {name}", among(numbers(feed)), sql_type(ty)),
    }
}

/// Returns the text columns of a feed's table, without the ticker.
fn words(feed: Feed) -> Vec<Column> {
    cells(feed, |kind| kind == Kind::Text)
}

fn numbers(feed: Feed) -> Vec<Column> {
    cells(feed, |kind| kind != Kind::Text)
}

fn cells(feed: Feed, wanted: fn(Kind) -> bool) -> Vec<Column> {
    let columns = TableName::from(feed).columns().iter().copied();
    columns.filter(|column| matches!(column.source, Source::Cell { kind, .. } if wanted(kind))).collect()
}

/// Returns the name of a column in the raw header.
fn raw_name(column: &Column) -> Option<&'static str> {
    match column.source {
        Source::Cell { raw, .. } => Some(raw),
        Source::FileTime | Source::Ticker | Source::Reject(_) => None,
    }
}

/// Returns the name of the kind of a number column in the SQL.
fn kind(column: &Column) -> &'static str {
    match column.source {
        Source::Cell { kind: Kind::Quantity, .. } => "quantity",
        Source::Cell { kind: Kind::Amount, .. } => "amount",
        _ => "decimal",
    }
}

/// Returns the largest value of a quantity, or `None` for other kinds, which are doubles.
fn most(column: &Column) -> Option<i64> {
    match (kind(column), column.ty) {
        ("quantity", ColumnType::Int) => Some(i32::MAX.into()),
        ("quantity", _) => Some(i64::MAX),
        _ => None,
    }
}

fn sql_type(ty: ColumnType) -> String {
    ty.hive_name().to_uppercase()
}

/// Returns the differences of Windows-1252 from Latin-1: the characters of Latin-1, and those of Windows-1252 with the same
/// bytes.
fn code_page() -> (String, String) {
    let differing = (0x80..=0x9F_u8).filter_map(|byte| {
        let windows = decode(&[byte]).chars().next()?;
        (windows != char::from(byte)).then(|| (escaped(char::from(byte)), escaped(windows)))
    });
    differing.unzip()
}

/// Returns the characters that [`trim`] removes, as a literal.
fn blank() -> String {
    format!("'{}'", ('\0'..='\u{FF}').filter(|c| is_blank(*c)).map(escaped).collect::<String>())
}

fn is_blank(character: char) -> bool {
    trim(character.encode_utf8(&mut [0; 4]).as_bytes()).is_empty()
}

/// Escapes a character of the Basic Multilingual Plane for an SQL literal.
fn escaped(character: char) -> String {
    format!("\\u{:04X}", u32::from(character))
}

/// Returns a name as an SQL literal. Names of columns and feeds, separators and tokens have no characters to escape.
fn literal(name: &str) -> String {
    format!("'{name}'")
}

/// Joins items to a list with one item per line.
fn stacked(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reviewed_file_is_what_the_definitions_say() {
        assert!(
            sql() == include_str!("../spark/etl.sql"),
            "spark/etl.sql is not what the code says: \
             cargo run --release -p market --example spark_job > crates/market/spark/etl.sql"
        );
    }

    #[test]
    fn the_text_is_ascii() {
        assert!(sql().is_ascii());
    }

    #[test]
    fn a_line_that_ends_with_a_semicolon_ends_a_statement() {
        let text = sql();
        for line in text.lines().filter(|line| line.trim_start().starts_with("--")) {
            assert!(!line.ends_with(';'), "{line:?} would end a statement in run_sql.py");
        }
        // Each statement begins with its keyword, after comments.
        let statements = text.split(";\n").filter(|statement| !statement.trim().is_empty());
        for statement in statements {
            let first = statement.lines().find(|line| !line.trim().is_empty() && !line.starts_with("--"));
            let word = first.and_then(|line| line.split_whitespace().next());
            assert!(matches!(word, Some("SET" | "SELECT" | "CREATE" | "CACHE" | "INSERT")), "{statement}");
        }
    }

    #[test]
    fn every_variable_is_checked_before_it_is_used() {
        let (text, checks) = (sql(), HEAD.split_once("SELECT").expect("the checks").1);
        let variables = |text: &str| -> std::collections::BTreeSet<String> {
            text.split("${").skip(1).map(|rest| rest.split('}').next().expect("a name").to_owned()).collect()
        };
        assert_eq!(variables(checks), variables(&text));
        assert_eq!(
            Vec::from_iter(variables(&text)),
            ["days", "from", "lake", "raw", "run", "spark.sql.catalogImplementation", "to"]
        );
    }

    fn range(from: &str, to: &str) -> DateRange {
        DateRange::new(from.parse().expect("a day"), to.parse().expect("a day")).expect("a range")
    }

    #[test]
    fn a_glob_has_whole_years_and_months() {
        for (from, to, glob) in [
            ("2020-04-01", "2020-04-01", "2020-04-01"),
            ("2020-04-01", "2020-04-02", "{2020-04-01,2020-04-02}"),
            ("2020-02-01", "2020-02-29", "2020-02-*"),
            ("2021-01-01", "2021-12-31", "2021-*"),
            ("2019-11-30", "2021-02-01", "{2019-11-30,2019-12-*,2020-*,2021-01-*,2021-02-01}"),
        ] {
            assert_eq!(days(range(from, to)), glob);
        }
    }

    /// Whether a glob of [`days`] matches a text, by the rules of Hadoop for braces without nesting and for `*` at the end.
    fn matches(glob: &str, text: &str) -> bool {
        let alternatives = glob.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(glob);
        alternatives.split(',').any(|one| one.strip_suffix('*').map_or(one == text, |start| text.starts_with(start)))
    }

    #[test]
    fn a_glob_matches_the_days_of_its_range_and_no_others() {
        for (from, to) in [
            ("2020-04-01", "2020-04-09"),
            ("2020-02-28", "2020-03-01"),
            ("2019-12-31", "2020-01-01"),
            ("2019-01-01", "2020-12-31"),
            ("2019-01-02", "2020-12-30"),
            ("2020-03-15", "2021-10-31"),
        ] {
            let range = range(from, to);
            let glob = days(range);
            for day in super::DateRange::days(self::range("2018-12-01", "2022-01-31")) {
                assert_eq!(matches(&glob, &day.to_string()), range.contains(day), "{glob} and {day}");
            }
        }
    }

    #[test]
    fn the_longest_glob_fits_into_the_arguments_of_a_step() {
        let longest = days(range("1990-01-02", "2199-12-30"));
        assert!((1_500..2_500).contains(&longest.len()), "{}", longest.len());
    }

    #[test]
    fn no_blank_is_missing() {
        assert_eq!(blank(), r"'\u0009\u000A\u000B\u000C\u000D\u0020\u00A0'");
        assert!(!('\u{100}'..=char::MAX).any(is_blank));
    }

    #[test]
    fn names_need_no_escape() {
        let names = Feed::ALL.iter().flat_map(|feed| feed.raw_columns()).chain(&NULL_TOKENS);
        for name in names {
            assert!(!name.contains(['\'', '\\', '$']), "{name:?}");
        }
    }

    #[test]
    fn the_code_page_is_windows_1252() {
        let (latin, windows) = code_page();
        assert_eq!(latin.len(), windows.len());
        assert_eq!((&latin[..12], &windows[..12]), (r"\u0080\u0082", r"\u20AC\u201A"));
        assert_eq!(latin.len() / 6, 27, "all but 81, 8D, 8F, 90 and 9D");
    }
}
