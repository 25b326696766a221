//! `pregao diff`: compares what two runs wrote for a day, by SQL.
//!
//! Rows are compared as multisets: a row that one run has three times and the other once differs twice. Rows that only one
//! run has are paired by key: pairs count as changed, the surplus of a side as added or removed.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use chrono::{NaiveDate, Utc};
use lake::athena::{self, Column, QueryResult};
use lake::scratch::{self, Purpose};
use lake::{Error, Lake, keys, objects, partitions, record};
use market::partition::Partition;
use market::run::RunId;
use market::table::TableName;
use serde_json::{Map, Value};

use crate::args::{DiffArgs, Global, OutputFormat};
use crate::endpoint::{Use, with_lake};
use crate::error_report::{fail, hinted};
use crate::format;
use crate::interrupt::{Interrupted, Listener};
use crate::migrate;
use crate::output::{self, Changed, Diff, Different, TableDiff};
use crate::tabular;

/// Maximum number of example rows of each kind.
const EXAMPLES: usize = 5;

/// Compares two runs of a day.
pub(crate) fn diff(global: &Global, args: &DiffArgs) -> anyhow::Result<ExitCode> {
    with_lake(global, Use::Questions, async |lake| {
        migrate::ensure(lake).await?;
        scratch::drop_old(lake, Utc::now(), false).await?;
        let program = global.program();
        let old = Written::find(lake, args.day, &args.old, &program).await?;
        let new = Written::find(lake, args.day, &args.new, &program).await?;
        let database = Purpose::Diff.unique(lake);
        let listener = Listener::new();
        let compared = tokio::select! {
            compared = compare(lake, args, &database, &old, &new) => compared.map_err(anyhow::Error::from),
            signal = listener.signal() => Err(Interrupted(signal).into()),
        };
        drop(listener);
        // Also if the comparison failed.
        let dropped = scratch::drop(lake, &database).await;
        let tables = compared?;
        dropped?;
        // The result is complete only if no files were removed meanwhile.
        old.refuse_removed(lake, &program).await?;
        new.refuse_removed(lake, &program).await?;
        let diff = Diff { day: args.day.to_string(), old: args.old.to_string(), new: args.new.to_string(), tables };
        match args.format {
            OutputFormat::Json => output::print(&diff)?,
            OutputFormat::Table => print_text(&diff)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The folders that a run wrote for a day.
struct Written {
    day: NaiveDate,
    run: RunId,
    /// URI of the folder of each table, if the run wrote one.
    folders: Vec<(TableName, Option<String>)>,
}

impl Written {
    /// Finds the folders of a run, published or not.
    async fn find(lake: &Lake, day: NaiveDate, run: &RunId, program: &str) -> anyhow::Result<Self> {
        let mut found = Self { day, run: run.clone(), folders: Vec::new() };
        found.refuse_removed(lake, program).await?;
        for table in TableName::ALL {
            let layouts = [keys::run_folder, keys::old_run_folder].map(|layout| layout(table, day.into(), run));
            let mut folder = None;
            for key in layouts {
                if !objects::list_data(lake, &key).await?.is_empty() {
                    folder = Some(keys::uri(&lake.config.buckets.lake, &key));
                }
            }
            found.folders.push((table, folder));
        }
        if found.folders.iter().all(|(_, folder)| folder.is_none()) {
            return fail(
                format!("run {run} has no files of {day}"),
                format!("{program} history {day} lists the runs that were published"),
            );
        }
        Ok(found)
    }

    async fn refuse_removed(&self, lake: &Lake, program: &str) -> anyhow::Result<()> {
        let Self { day, run, .. } = self;
        let record = record::read(lake, *day).await?.map(|stored| stored.record);
        if record.is_some_and(|record| record.removed_runs.contains(run)) {
            let error = Error::record(format!("the files that run {run} wrote for {day} are removed"));
            return Err(hinted(error, format!("{program} history {day} shows which runs still have theirs")));
        }
        Ok(())
    }

    fn folder(&self, table: TableName) -> Option<&String> {
        self.folders.iter().find(|(of, _)| *of == table).and_then(|(_, folder)| folder.as_ref())
    }
}

async fn compare(
    lake: &Lake,
    args: &DiffArgs,
    database: &str,
    old: &Written,
    new: &Written,
) -> Result<Vec<TableDiff>, Error> {
    partitions::create_database(lake, database).await?;
    let mut tables = Vec::new();
    for table in TableName::ALL.into_iter().filter(|table| args.table.is_none_or(|asked| asked == *table)) {
        for (side, written) in [("old", old), ("new", new)] {
            let folder = written.folder(table).map(|folder| (Partition::from(args.day), folder.clone()));
            let folders: Vec<_> = folder.into_iter().collect();
            scratch::table(lake, database, &format!("{side}_{table}"), table, &folders, false).await?;
        }
        tables.push(of_table(lake, database, table).await?);
    }
    Ok(tables)
}

async fn of_table(lake: &Lake, database: &str, table: TableName) -> Result<TableDiff, Error> {
    let [old_rows, new_rows, added, removed, changed] = counts(lake, database, table).await?;
    let ask = async |condition: &str, needed: u64| {
        if needed == 0 {
            return Ok(Vec::new());
        }
        Ok::<_, Error>(examples(&athena::run_in(lake, database, &rows_of_keys(table, condition)).await?))
    };
    let only = |rows: Vec<Example>, of_new: bool| -> Vec<Value> {
        rows.into_iter().filter(|row| row.is_new == of_new).map(|row| row.row).take(EXAMPLES).collect()
    };
    let examples = Different {
        added: only(ask("in_new > in_old", added).await?, true),
        removed: only(ask("in_old > in_new", removed).await?, false),
        changed: by_key(table, ask("in_old > 0 AND in_new > 0", changed).await?),
    };
    Ok(TableDiff {
        table: table.to_string(),
        old_rows,
        new_rows,
        added,
        removed,
        changed,
        key: key(table).iter().map(|column| (*column).to_owned()).collect(),
        examples,
    })
}

/// Returns the key columns, which identify a row of a table in both runs.
fn key(table: TableName) -> &'static [&'static str] {
    match table {
        TableName::Quotes | TableName::Options => &["intdate", "ticker"],
        // A record may have several rejected cells, and a repeated record the same column twice.
        TableName::Rejects => &["intdate", "source_file", "table_name", "ticker", "column_name"],
    }
}

/// Returns the `WITH` clause that defines the rows whose counts differ, and the sums of each key.
fn differences(table: TableName) -> String {
    let columns: Vec<&str> = table.columns().iter().map(|column| column.name).collect();
    let columns = columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
    let key = quoted_key(table);
    format!(
        "WITH both AS (\n\
         SELECT {columns}, 1 AS old_times, 0 AS new_times FROM \"old_{table}\"\n\
         UNION ALL SELECT {columns}, 0 AS old_times, 1 AS new_times FROM \"new_{table}\"),\n\
         differing AS (\n\
         SELECT {columns}, sum(old_times) AS old_times, sum(new_times) AS new_times\n\
         FROM both GROUP BY {columns} HAVING sum(old_times) <> sum(new_times)),\n\
         keys AS (\n\
         SELECT {key}, sum(greatest(old_times - new_times, 0)) AS in_old, sum(greatest(new_times - old_times, 0)) AS in_new\n\
         FROM differing GROUP BY {key})\n"
    )
}

fn quoted_key(table: TableName) -> String {
    key(table).iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ")
}

/// Returns the statement that counts the rows of both runs, and the added, removed and changed ones.
async fn counts(lake: &Lake, database: &str, table: TableName) -> Result<[u64; 5], Error> {
    let statement = format!(
        "{}SELECT (SELECT count(*) FROM \"old_{table}\") AS old_rows, (SELECT count(*) FROM \"new_{table}\") AS new_rows,\n\
         coalesce(sum(in_new - least(in_old, in_new)), 0) AS added,\n\
         coalesce(sum(in_old - least(in_old, in_new)), 0) AS removed,\n\
         coalesce(sum(least(in_old, in_new)), 0) AS changed\n\
         FROM keys",
        differences(table)
    );
    let answer = athena::run_in(lake, database, &statement).await?;
    let counts: Vec<u64> = answer.rows.iter().flatten().flatten().filter_map(|cell| cell.parse().ok()).collect();
    <[u64; 5]>::try_from(counts)
        .map_err(|_| Error::Quality(format!("query {} answered with something else than five counts", answer.query)))
}

/// Returns the statement for the differing rows of a few keys.
fn rows_of_keys(table: TableName, condition: &str) -> String {
    let columns: Vec<String> = table.columns().iter().map(|column| format!("differing.\"{}\"", column.name)).collect();
    let order = quoted_key(table);
    // NULLs compare as equal here.
    let on: Vec<String> = key(table)
        .iter()
        .map(|column| format!("(differing.\"{column}\" IS NOT DISTINCT FROM chosen.\"{column}\")"))
        .collect();
    let mut statement = differences(table);
    write!(
        statement,
        "SELECT differing.new_times > differing.old_times AS is_new, {columns}\n\
         FROM differing JOIN (SELECT * FROM keys WHERE {condition} ORDER BY {order} LIMIT {EXAMPLES}) chosen ON {on}\n\
         ORDER BY {sorted}, is_new",
        columns = columns.join(", "),
        on = on.join(" AND "),
        sorted = key(table).iter().map(|column| format!("differing.\"{column}\"")).collect::<Vec<_>>().join(", "),
    )
    .expect("a string takes everything");
    statement
}

/// A row that only one run has.
struct Example {
    is_new: bool,
    row: Value,
}

fn examples(answer: &QueryResult) -> Vec<Example> {
    let Some((_, columns)) = answer.columns.split_first() else { return Vec::new() };
    let row = |row: &Vec<Option<String>>| {
        let (is_new, cells) = row.split_first()?;
        Some(Example { is_new: is_new.as_deref() == Some("true"), row: object(columns, cells) })
    };
    answer.rows.iter().filter_map(row).collect()
}

fn object(columns: &[Column], cells: &[Option<String>]) -> Value {
    let cells = columns.iter().zip(cells);
    Value::Object(
        cells.map(|(column, cell)| (column.name.clone(), column.json(cell.as_deref()))).collect::<Map<_, _>>(),
    )
}

/// Groups rows, which are sorted by key, by key.
fn by_key(table: TableName, rows: Vec<Example>) -> Vec<Changed> {
    let key_of = |row: &Value| key(table).iter().map(|column| row[*column].clone()).collect::<Vec<_>>();
    let mut changed: Vec<(Vec<Value>, Changed)> = Vec::new();
    for Example { is_new, row } in rows {
        let key = key_of(&row);
        if changed.last().is_none_or(|(last, _)| *last != key) {
            changed.push((key, Changed { old: Vec::new(), new: Vec::new() }));
        }
        if let Some((_, of_key)) = changed.last_mut() {
            if is_new { of_key.new.push(row) } else { of_key.old.push(row) }
        }
    }
    changed.into_iter().map(|(_, changed)| changed).collect()
}

fn print_text(diff: &Diff) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let columns = tabular::columns([
        ("table", "varchar"),
        ("old rows", "bigint"),
        ("new rows", "bigint"),
        ("added", "bigint"),
        ("removed", "bigint"),
        ("changed", "bigint"),
    ]);
    let counts: Vec<tabular::Row> = diff
        .tables
        .iter()
        .map(|of| {
            let counts = [of.old_rows, of.new_rows, of.added, of.removed, of.changed].map(format::count);
            std::iter::once(of.table.clone()).chain(counts).map(Some).collect()
        })
        .collect();
    writeln!(out, "{}", tabular::table(&columns, &counts, tabular::terminal_width()))?;
    for TableDiff { table, key, examples, .. } in &diff.tables {
        for row in &examples.added {
            writeln!(out, "{table}  added    {}", named(row, key))?;
        }
        for row in &examples.removed {
            writeln!(out, "{table}  removed  {}", named(row, key))?;
        }
        for changed in &examples.changed {
            writeln!(out, "{table}  changed  {}", changes(changed, key))?;
        }
    }
    Ok(())
}

/// Returns the key of a row.
fn named(row: &Value, key: &[String]) -> String {
    key.iter().map(|column| text(&row[column.as_str()])).collect::<Vec<_>>().join(" ")
}

/// Describes changed rows: their key, and the differing columns if there is one row on each side.
fn changes(changed: &Changed, key: &[String]) -> String {
    let (Some(old), Some(new)) = (changed.old.first(), changed.new.first()) else { return String::new() };
    let name = named(new, key);
    if changed.old.len() != 1 || changed.new.len() != 1 {
        let rows = |rows: &[Value]| format::counted(rows.len() as u64, "row");
        return format!("{name}: {} for {}", rows(&changed.new), rows(&changed.old));
    }
    let columns = old.as_object().into_iter().flatten().filter(|(column, value)| new[column.as_str()] != **value);
    let columns: Vec<String> =
        columns.map(|(column, value)| format!("{column} {} -> {}", text(value), text(&new[column.as_str()]))).collect();
    format!("{name}: {}", columns.join(", "))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "NULL".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changed_rows_are_described_by_their_columns() {
        let key = ["intdate", "ticker"].map(str::to_owned);
        let row = |bid: Value| json!({"intdate": 202004011000_i64, "ticker": "PETR4", "bid": bid, "ask": 16.0});
        let changed = Changed { old: vec![row(json!(15.5))], new: vec![row(Value::Null)] };
        assert_eq!(changes(&changed, &key), "202004011000 PETR4: bid 15.5 -> NULL");
        let several = Changed { old: vec![row(json!(1.0))], new: vec![row(json!(2.0)), row(json!(3.0))] };
        assert_eq!(changes(&several, &key), "202004011000 PETR4: 2 rows for 1 row");
    }

    #[test]
    fn rows_of_a_key_stand_together() {
        let row = |ticker: &str, is_new, bid: f64| Example {
            is_new,
            row: json!({"intdate": 1, "ticker": ticker, "bid": bid}),
        };
        let rows = vec![row("A", false, 1.0), row("A", true, 2.0), row("A", true, 3.0), row("B", false, 1.0)];
        let changed = by_key(TableName::Quotes, rows);
        let sizes: Vec<_> = changed.iter().map(|of| (of.old.len(), of.new.len())).collect();
        assert_eq!(sizes, [(1, 2), (1, 0)]);
    }
}
