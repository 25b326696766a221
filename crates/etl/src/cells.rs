//! Parses cells into columns, by the number contract of `market`.
//!
//! [`Cells`] has one variant for each pair of a kind of cell and a column type. The match on it is the only dispatch per
//! cell; parsing and appending are monomorphized for the pair.

use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{ArrayRef, ArrowPrimitiveType};
use market::number::{
    CellText, Reading, Reason, read_amount, read_decimal, read_quantity, read_quantity_as_double, trim,
};
use market::table::{ColumnType, Kind};

use crate::columns::{Numbers, Texts};

/// A buffered column of cells of one kind.
pub(crate) enum Cells {
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
    /// Returns an empty column, or `None` if the type cannot hold the kind. No table of `market` has such a column.
    pub(crate) fn new(kind: Kind, ty: ColumnType) -> Option<Self> {
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

    /// Appends the value of `cell`, or NULL. Returns the reason if the cell could not be read, so that the caller adds it to
    /// `rejects`.
    ///
    /// `cell` is UTF-8, not trimmed.
    #[inline]
    pub(crate) fn push(&mut self, cell: CellText<'_>) -> Option<Reason> {
        match self {
            Cells::Text(column) => {
                let text = trim(cell.as_bytes());
                column.push(text, !text.is_empty());
                None
            }
            Cells::Decimal(column) => append(column, read_decimal(cell)),
            Cells::Amount(column) => append(column, read_amount(cell)),
            Cells::BigQuantity(column) => append(column, read_quantity(cell)),
            Cells::SmallQuantity(column) => {
                let small = read_quantity(cell).and_then(|Reading { value, is_null }| match i32::try_from(value) {
                    Ok(value) => Ok(Reading { value, is_null }),
                    Err(_) if is_null => Ok(Reading { value: 0, is_null }),
                    Err(_) => Err(Reason::OutOfRange),
                });
                append(column, small)
            }
            Cells::DoubleQuantity(column) => append(column, read_quantity_as_double(cell)),
        }
    }

    /// Returns the column as an array with its rows in `order`, and leaves it empty.
    pub(crate) fn finish(&mut self, order: &[u32]) -> ArrayRef {
        match self {
            Cells::Text(column) => column.finish(order),
            Cells::Decimal(column) | Cells::Amount(column) | Cells::DoubleQuantity(column) => column.finish(order),
            Cells::BigQuantity(column) => column.finish(order),
            Cells::SmallQuantity(column) => column.finish(order),
        }
    }
}

#[inline]
fn append<T: ArrowPrimitiveType>(column: &mut Numbers<T>, read: Result<Reading<T::Native>, Reason>) -> Option<Reason> {
    match read {
        Ok(Reading { value, is_null }) => {
            column.push(value, !is_null);
            None
        }
        Err(reason) => {
            column.push(T::Native::default(), false);
            Some(reason)
        }
    }
}
