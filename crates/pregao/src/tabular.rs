//! Tabular output on stdout: a text table, CSV, or JSON. Rows are written page by page as they arrive, whatever their number.

use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle};
use console::Style;
use lake::athena::Column;
use lake_client::csv;

use crate::args::Format;

/// Creates columns of these names and types, for tables that do not come from a query.
pub(crate) fn columns<const N: usize>(columns: [(&str, &str); N]) -> [Column; N] {
    columns.map(|(name, ty)| Column { name: name.to_owned(), ty: ty.to_owned() })
}

/// A row: a text for each column, `None` for NULL.
pub(crate) type Row = Vec<Option<String>>;

/// Writes the rows of one result.
pub(crate) struct Writer<W> {
    out: W,
    format: Format,
    columns: Vec<Column>,
    /// Maximum width of a table.
    width: Option<u16>,
    rows: u64,
}

impl<W: Write> Writer<W> {
    /// Starts a result with these columns. `width` is that of the terminal, if there is one.
    pub(crate) fn new(mut out: W, format: Format, columns: Vec<Column>, width: Option<u16>) -> io::Result<Writer<W>> {
        match format {
            Format::Table => {}
            Format::Csv => csv::write_record(&mut out, columns.iter().map(|column| Some(column.name.as_str())))?,
            Format::Json => out.write_all(b"[")?,
        }
        Ok(Writer { out, format, columns, width, rows: 0 })
    }

    /// Writes a page of rows.
    pub(crate) fn page(&mut self, rows: &[Row]) -> io::Result<()> {
        match self.format {
            Format::Table if rows.is_empty() => {}
            Format::Table => writeln!(self.out, "{}", table(&self.columns, rows, self.width))?,
            Format::Csv => {
                for row in rows {
                    csv::write_record(&mut self.out, row.iter().map(Option::as_deref))?;
                }
            }
            Format::Json => {
                for (row, nth) in rows.iter().zip(self.rows..) {
                    self.out.write_all(if nth == 0 { b"\n" } else { b",\n" })?;
                    write_object(&mut self.out, &self.columns, row)?;
                }
            }
        }
        self.rows += rows.len() as u64;
        Ok(())
    }

    /// Ends the result. Returns its number of rows.
    pub(crate) fn end(mut self) -> io::Result<u64> {
        match self.format {
            // A result without rows still has columns.
            Format::Table if self.rows == 0 && !self.columns.is_empty() => {
                writeln!(self.out, "{}", table(&self.columns, &[], self.width))?;
            }
            Format::Table | Format::Csv => {}
            Format::Json => self.out.write_all(if self.rows == 0 { b"]\n" } else { b"\n]\n" })?,
        }
        self.out.flush()?;
        Ok(self.rows)
    }
}

/// Returns the width of the terminal if stdout is one.
pub(crate) fn terminal_width() -> Option<u16> {
    let terminal = console::Term::stdout();
    terminal.is_term().then(|| terminal.size_checked().map(|(_, columns)| columns)).flatten()
}

/// Columns separated by blanks, below a header line.
const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none())
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .content_lines(ContentLineStyle::none());

/// Returns a text table: numbers aligned right, NULL as `NULL`.
pub(crate) fn table(columns: &[Column], rows: &[Row], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(STYLE);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    let aligned = |text: &str, column: &Column| {
        let alignment = if column.is_number() { CellAlignment::Right } else { CellAlignment::Left };
        Cell::new(text).set_alignment(alignment)
    };
    table.set_header(columns.iter().map(|column| aligned(&column.name, column)));
    for row in rows {
        table.add_row(row.iter().zip(columns).map(|(cell, column)| aligned(cell.as_deref().unwrap_or("NULL"), column)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table.trim_fmt()
}

/// Returns `table` with the cells of one column coloured: `style` returns the style for a cell's text.
pub(crate) fn coloured(table: &str, column: &str, style: impl Fn(&str) -> Style) -> String {
    let mut lines = table.lines();
    let header = lines.next().unwrap_or_default();
    let Some(start) = place(header, column) else { return table.to_owned() };
    let line = |line: &str| {
        let chars: Vec<char> = line.chars().collect();
        // A cell ends at two blanks, because its text may contain one.
        let rest: String = chars.iter().skip(start).collect();
        let cell = rest.split("  ").next().unwrap_or_default().trim_end();
        let before: String = chars.iter().take(start).collect();
        let behind = &rest[cell.len()..];
        format!("{before}{}{behind}", style(cell).apply_to(cell))
    };
    std::iter::once(header.to_owned()).chain(lines.map(line)).collect::<Vec<_>>().join("\n")
}

/// Returns the start of a column in characters.
fn place(header: &str, column: &str) -> Option<usize> {
    let mut at = 0;
    for part in header.split_inclusive(char::is_whitespace) {
        if part.trim_end() == column {
            return Some(at);
        }
        at += part.chars().count();
    }
    None
}

fn write_object(out: &mut impl Write, columns: &[Column], row: &Row) -> io::Result<()> {
    out.write_all(b"{")?;
    for (at, (column, cell)) in columns.iter().zip(row).enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        serde_json::to_writer(&mut *out, &column.name)?;
        out.write_all(b":")?;
        serde_json::to_writer(&mut *out, &column.json(cell.as_deref()))?;
    }
    out.write_all(b"}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written_columns() -> Vec<Column> {
        columns([("ticker", "varchar"), ("n", "bigint"), ("price", "double"), ("up", "boolean")]).to_vec()
    }

    fn row(cells: [Option<&str>; 4]) -> Row {
        cells.map(|cell| cell.map(str::to_owned)).to_vec()
    }

    fn written(format: Format, pages: &[&[Row]]) -> String {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, format, written_columns(), None).expect("a Vec takes all bytes");
        for page in pages {
            writer.page(page).expect("a Vec takes all bytes");
        }
        let rows = writer.end().expect("a Vec takes all bytes");
        assert_eq!(rows as usize, pages.iter().map(|page| page.len()).sum::<usize>());
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn json_is_one_array_of_objects_with_exact_numbers() {
        let one = [row([Some("PETR4"), Some("9007199254740993"), Some("1.0E7"), Some("true")])];
        let two = [row([Some("a\"b"), None, Some("NaN"), None])];
        let text = written(Format::Json, &[&one, &two]);
        assert_eq!(
            text,
            "[\n{\"ticker\":\"PETR4\",\"n\":9007199254740993,\"price\":10000000.0,\"up\":true},\n\
             {\"ticker\":\"a\\\"b\",\"n\":null,\"price\":\"NaN\",\"up\":null}\n]\n"
        );
        assert_eq!(written(Format::Json, &[]), "[]\n");
    }

    #[test]
    fn csv_quotes_what_has_to_be_quoted() {
        let page = [row([Some("a,b"), Some("1"), None, Some("")]), row([Some("c\"d"), None, None, Some("e\nf")])];
        assert_eq!(written(Format::Csv, &[&page]), "ticker,n,price,up\r\n\"a,b\",1,,\"\"\r\n\"c\"\"d\",,,\"e\nf\"\r\n");
    }

    #[test]
    fn one_column_is_coloured() {
        let columns = columns([("id", "varchar"), ("state", "varchar"), ("n", "bigint")]);
        let page = [["FAILED", "FAILED", "1"], ["b", "raw only", "12345"]]
            .map(|row| row.map(|cell| Some(cell.to_owned())).to_vec());
        let plain = table(&columns, &page, None);
        let text = coloured(&plain, "state", |cell| match cell {
            "FAILED" => Style::new().red().force_styling(true),
            "raw only" => Style::new().yellow().force_styling(true),
            _ => Style::new(),
        });
        assert_eq!(console::strip_ansi_codes(&text), plain);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].starts_with("FAILED  \x1b[31mFAILED\x1b[0m"), "{text:?}");
        assert!(lines[3].contains("\x1b[33mraw only\x1b[0m"), "{text:?}");
    }

    #[test]
    fn tables_align_numbers_to_the_right() {
        let page =
            [row([Some("PETR4"), Some("5"), Some("15.73"), None]), row([Some("VALE3"), Some("12345"), None, None])];
        let text = written(Format::Table, &[&page]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "ticker      n  price  up",
                "───────────────────────────",
                "PETR4       5  15.73  NULL",
                "VALE3   12345   NULL  NULL",
            ]
        );
        assert!(written(Format::Table, &[]).contains("ticker"), "columns are shown without rows too");
    }
}
