//! Writes the cells of a row, for both feeds.

use crate::corruption::{PANEL_NULLS, PROGRAM_NULLS};
use crate::listing::Cents;
use crate::number_style::{self, Source};
use crate::raw_file::Row;
use crate::rng::Rng;

/// Writes the cells of one row after another, mostly in the style of one source.
pub(crate) struct Cells<'a> {
    pub row: &'a mut Row,
    pub rng: &'a mut Rng,
}

impl Cells<'_> {
    /// Writes a price, or NULL.
    pub(crate) fn price(&mut self, source: Source, price: Option<Cents>) {
        self.decimal(source, price.map(|cents| (cents, 2)));
    }

    /// Writes a price, or the auction mark while the instrument is in auction.
    pub(crate) fn auction_price(&mut self, source: Source, auction: bool, price: Option<Cents>) {
        if auction {
            let mark = self.rng.pick(&["Abe", "Abe", "Abe", "ABE", "abe"]);
            self.row.text(mark);
        } else {
            self.price(source, price);
        }
    }

    /// Writes `units / 10^scale`, or NULL.
    pub(crate) fn decimal(&mut self, source: Source, number: Option<(i64, u32)>) {
        self.number(source, number, |out, rng, source, (units, scale)| {
            number_style::decimal(out, rng, source, units, scale);
        });
    }

    /// Writes a quantity, or NULL.
    pub(crate) fn quantity(&mut self, source: Source, quantity: Option<i64>) {
        self.number(source, quantity, number_style::quantity);
    }

    /// Writes an amount of money, or NULL.
    pub(crate) fn amount(&mut self, source: Source, amount: Option<Cents>) {
        self.number(source, amount, number_style::amount);
    }

    fn number<T>(&mut self, source: Source, number: Option<T>, write: impl FnOnce(&mut String, &mut Rng, Source, T)) {
        let source = source.or_other(self.rng);
        let rng = &mut *self.rng;
        match number {
            Some(number) => self.row.cell(|out| {
                // Readers strip blanks around a number, no-break spaces too.
                let blanks = if rng.one_in(2_000) { rng.pick(&[" ", "  ", "\u{a0}"]) } else { "" };
                out.push_str(blanks);
                write(out, rng, source, number);
                out.push_str(blanks);
            }),
            None => self.row.text(match source {
                Source::Panel => rng.pick(&PANEL_NULLS),
                Source::Program => rng.pick(&PROGRAM_NULLS),
            }),
        }
    }
}
