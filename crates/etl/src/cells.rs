//! From the text of cells to Arrow columns: the cleaning kernels.
//!
//! What a cell says is decided by the number contract in `market`. Here its readers meet the builder of their column's
//! type, once for each column, so that no cell asks what it is.

use arrow_array::ArrayRef;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use market::number::{Cell, Reason, parse_amount, parse_decimal, parse_quantity, trim};
use market::table::{ColumnType, Kind};

use crate::columns::{Numbers, Texts};

/// A column of cells of one kind, as it is being built.
pub enum Cells {
    Text(Texts),
    Decimal(Numbers<Float64Type>),
    Amount(Numbers<Float64Type>),
    BigQuantity(Numbers<Int64Type>),
    /// A quantity that has to fit in 32 bits.
    SmallQuantity(Numbers<Int32Type>),
    /// A quantity in a column of doubles: a whole number of 64 bits, rounded.
    DoubleQuantity(Numbers<Float64Type>),
}

impl Cells {
    /// An empty column; `None` for a type that does not hold the kind, which no table of `market` has.
    pub fn new(kind: Kind, ty: ColumnType) -> Option<Self> {
        Some(match (kind, ty) {
            (Kind::Text, ColumnType::String) => Cells::Text(Texts::default()),
            (Kind::Decimal, ColumnType::Double) => Cells::Decimal(Numbers::default()),
            (Kind::Amount, ColumnType::Double) => Cells::Amount(Numbers::default()),
            (Kind::Quantity, ColumnType::BigInt) => Cells::BigQuantity(Numbers::default()),
            (Kind::Quantity, ColumnType::Int) => Cells::SmallQuantity(Numbers::default()),
            (Kind::Quantity, ColumnType::Double) => Cells::DoubleQuantity(Numbers::default()),
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
                column.push((!text.is_empty()).then_some(text));
                None
            }
            Cells::Decimal(column) => append(parse_decimal(cell), |value| column.push(value)),
            Cells::Amount(column) => append(parse_amount(cell), |value| column.push(value)),
            Cells::BigQuantity(column) => append(parse_quantity(cell), |value| column.push(value)),
            Cells::SmallQuantity(column) => {
                let small = match parse_quantity(cell) {
                    Cell::Value(value) => i32::try_from(value).map_or(Cell::Reject(Reason::OutOfRange), Cell::Value),
                    Cell::Null => Cell::Null,
                    Cell::Reject(reason) => Cell::Reject(reason),
                };
                append(small, |value| column.push(value))
            }
            Cells::DoubleQuantity(column) => {
                append(parse_quantity(cell), |value| column.push(value.map(|value| value as f64)))
            }
        }
    }

    /// The column with its rows in this order. It starts anew.
    pub fn finish(&mut self, order: &[u32]) -> ArrayRef {
        match self {
            Cells::Text(column) => column.finish(order),
            Cells::Decimal(column) | Cells::Amount(column) | Cells::DoubleQuantity(column) => column.finish(order),
            Cells::BigQuantity(column) => column.finish(order),
            Cells::SmallQuantity(column) => column.finish(order),
        }
    }
}

#[inline]
fn append<T>(cell: Cell<T>, push: impl FnOnce(Option<T>)) -> Option<Reason> {
    let (value, reason) = match cell {
        Cell::Value(value) => (Some(value), None),
        Cell::Null => (None, None),
        Cell::Reject(reason) => (None, Some(reason)),
    };
    push(value);
    reason
}
