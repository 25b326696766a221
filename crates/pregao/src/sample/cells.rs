//! Cells of a row, with what both feeds do to them.

use super::dice::Dice;
use super::listing::Cents;
use super::mess::{PANEL_NULLS, PROGRAM_NULLS};
use super::number_style::{self, Source};
use super::raw_file::Row;

/// Writes the cells of one row after another, mostly in the voice of one source.
pub struct Cells<'a> {
    pub row: &'a mut Row,
    pub dice: &'a mut Dice,
}

impl Cells<'_> {
    /// A price, or a null.
    pub fn price(&mut self, source: Source, price: Option<Cents>) {
        self.decimal(source, price.map(|cents| (cents, 2)));
    }

    /// A price that is not there to show while the instrument is in auction.
    pub fn auction_price(&mut self, source: Source, auction: bool, price: Option<Cents>) {
        if auction {
            let mark = self.dice.pick(&["Abe", "Abe", "Abe", "ABE", "abe"]);
            self.row.text(mark);
        } else {
            self.price(source, price);
        }
    }

    /// `units / 10^scale`, or a null.
    pub fn decimal(&mut self, source: Source, number: Option<(i64, u32)>) {
        self.number(source, number, |out, dice, source, (units, scale)| {
            number_style::decimal(out, dice, source, units, scale);
        });
    }

    /// A quantity, or a null.
    pub fn quantity(&mut self, source: Source, quantity: Option<i64>) {
        self.number(source, quantity, number_style::quantity);
    }

    /// An amount of money, or a null.
    pub fn amount(&mut self, source: Source, amount: Option<Cents>) {
        self.number(source, amount, number_style::amount);
    }

    fn number<T>(&mut self, source: Source, number: Option<T>, write: impl FnOnce(&mut String, &mut Dice, Source, T)) {
        let source = source.or_other(self.dice);
        let dice = &mut *self.dice;
        match number {
            Some(number) => self.row.cell(|out| {
                // Blanks around a number, the no-break space among them, are part of no number.
                let blanks = if dice.one_in(2_000) { dice.pick(&[" ", "  ", "\u{a0}"]) } else { "" };
                out.push_str(blanks);
                write(out, dice, source, number);
                out.push_str(blanks);
            }),
            None => self.row.text(match source {
                Source::Panel => dice.pick(&PANEL_NULLS),
                Source::Program => dice.pick(&PROGRAM_NULLS),
            }),
        }
    }
}
