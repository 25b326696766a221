//! From the text of cells to Arrow columns: the cleaning kernels.
//!
//! What a cell says is decided by the number contract in `market`. Here its readers meet the builder of their column's
//! type, once for each column, so that no cell asks what it is.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{Float64Builder, Int32Builder, Int64Builder, StringBuilder};
use market::number::{Cell, Reason, parse_amount, parse_decimal, parse_quantity, trim};
use market::table::{ColumnType, Kind};

/// A column of cells of one kind, as it is being built.
pub enum Cells {
    Text(StringBuilder),
    Decimal(Float64Builder),
    Amount(Float64Builder),
    BigQuantity(Int64Builder),
    /// A quantity that has to fit in 32 bits.
    SmallQuantity(Int32Builder),
    /// A quantity in a column of doubles: a whole number of 64 bits, rounded.
    DoubleQuantity(Float64Builder),
}

impl Cells {
    /// An empty column; `None` for a type that does not hold the kind, which no table of `market` has.
    pub fn new(kind: Kind, ty: ColumnType) -> Option<Self> {
        Some(match (kind, ty) {
            (Kind::Text, ColumnType::String) => Cells::Text(StringBuilder::new()),
            (Kind::Decimal, ColumnType::Double) => Cells::Decimal(Float64Builder::new()),
            (Kind::Amount, ColumnType::Double) => Cells::Amount(Float64Builder::new()),
            (Kind::Quantity, ColumnType::BigInt) => Cells::BigQuantity(Int64Builder::new()),
            (Kind::Quantity, ColumnType::Int) => Cells::SmallQuantity(Int32Builder::new()),
            (Kind::Quantity, ColumnType::Double) => Cells::DoubleQuantity(Float64Builder::new()),
            _ => return None,
        })
    }

    /// Adds what `cell` says: its value, or NULL. Gives the reason where that NULL has to be accounted for.
    ///
    /// `cell` is UTF-8, not trimmed.
    #[inline]
    pub fn push(&mut self, cell: &[u8]) -> Option<Reason> {
        match self {
            Cells::Text(column) => {
                let text = trim(cell);
                if text.is_empty() {
                    column.append_null()
                } else {
                    column.append_value(text_of(text))
                }
                None
            }
            Cells::Decimal(column) => append(parse_decimal(cell), |value| column.append_option(value)),
            Cells::Amount(column) => append(parse_amount(cell), |value| column.append_option(value)),
            Cells::BigQuantity(column) => append(parse_quantity(cell), |value| column.append_option(value)),
            Cells::SmallQuantity(column) => {
                let small = match parse_quantity(cell) {
                    Cell::Value(value) => i32::try_from(value).map_or(Cell::Reject(Reason::OutOfRange), Cell::Value),
                    Cell::Null => Cell::Null,
                    Cell::Reject(reason) => Cell::Reject(reason),
                };
                append(small, |value| column.append_option(value))
            }
            Cells::DoubleQuantity(column) => {
                append(parse_quantity(cell), |value| column.append_option(value.map(|value| value as f64)))
            }
        }
    }

    /// The column, which starts anew.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Cells::Text(column) => Arc::new(column.finish()),
            Cells::Decimal(column) | Cells::Amount(column) | Cells::DoubleQuantity(column) => Arc::new(column.finish()),
            Cells::BigQuantity(column) => Arc::new(column.finish()),
            Cells::SmallQuantity(column) => Arc::new(column.finish()),
        }
    }
}

#[inline]
fn append<T>(cell: Cell<T>, append_option: impl FnOnce(Option<T>)) -> Option<Reason> {
    let (value, reason) = match cell {
        Cell::Value(value) => (Some(value), None),
        Cell::Null => (None, None),
        Cell::Reject(reason) => (None, Some(reason)),
    };
    append_option(value);
    reason
}

/// The text of a cell of a decoded line.
pub fn text_of(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).expect("a line is decoded before it is split, and split only at ASCII characters")
}
