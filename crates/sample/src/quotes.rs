//! Rows of a quotes snapshot: the trading panel, one line per instrument.

use chrono::NaiveDate;

use crate::cells::Cells;
use crate::listing::{Cents, Listing};
use crate::number_style::Source;
use crate::raw_file::Row;
use crate::rng::Rng;
use crate::trading::{Book, Day, has_lots, lot_ticker};

/// The instruments of a quotes snapshot, ordered by ticker.
pub(crate) struct Panel {
    lines: Vec<(String, Instrument)>,
}

/// An instrument, by its position in the listing.
#[derive(Debug, Clone, Copy)]
enum Instrument {
    Stock(usize),
    Lot(usize),
    Series(usize),
}

/// Which source wrote each kind of column of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceMix {
    prices: Source,
    counts: Source,
    totals: Source,
}

impl SourceMix {
    /// Draws the sources of a file: totals mostly from the panel, counts mostly from a program, prices from either.
    pub(crate) fn draw(rng: &mut Rng) -> SourceMix {
        let mut mostly = |source, percent| match (source, rng.percent(percent)) {
            (Source::Panel, true) | (Source::Program, false) => Source::Panel,
            _ => Source::Program,
        };
        SourceMix {
            prices: mostly(Source::Panel, 60),
            counts: mostly(Source::Program, 80),
            totals: mostly(Source::Panel, 85),
        }
    }
}

impl Panel {
    pub(crate) fn new(listing: &Listing) -> Panel {
        let stocks = listing.stocks.iter().enumerate();
        let lots = stocks.clone().filter(|(_, stock)| has_lots(stock));
        let series = listing.series.iter().enumerate();
        let mut lines: Vec<(String, Instrument)> = stocks
            .map(|(at, stock)| (stock.ticker.clone(), Instrument::Stock(at)))
            .chain(lots.map(|(at, stock)| (lot_ticker(stock), Instrument::Lot(at))))
            .chain(series.map(|(at, series)| (series.ticker.clone(), Instrument::Series(at))))
            .collect();
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        Panel { lines }
    }

    /// Calls `emit` with each row of a snapshot taken now.
    pub(crate) fn rows(&self, day: &Day, rng: &mut Rng, mut emit: impl FnMut(&mut Row, &mut Rng)) {
        let sources = SourceMix::draw(rng);
        let mut row = Row::default();
        for (ticker, instrument) in &self.lines {
            row.clear();
            row.text(ticker);
            fill(&mut Cells { row: &mut row, rng }, day, *instrument, sources);
            emit(&mut row, rng);
        }
    }
}

/// Writes the cells after the ticker.
fn fill(cells: &mut Cells, day: &Day, instrument: Instrument, sources: SourceMix) {
    let SourceMix { prices, counts, totals } = sources;
    let (book, name, strike, expiry) = details(day, instrument);
    let trades = book.trades;

    cells.auction_price(prices, book.auction && trades.is_none(), trades.map(|t| t.open));
    cells.price(prices, None);
    cells.price(prices, Some(book.last_close));
    cells.price(prices, trades.map(|t| t.max));
    cells.price(prices, trades.map(|t| t.min));
    cells.auction_price(prices, book.auction, book.bid.map(|offer| offer.price));
    cells.auction_price(prices, book.auction, book.ask.map(|offer| offer.price));
    cells.quantity(totals, book.bid.map(|offer| offer.quantity));
    cells.quantity(totals, book.ask.map(|offer| offer.quantity));
    cells.quantity(totals, trades.map(|t| t.last_quantity));
    cells.auction_price(prices, book.auction, trades.map(|t| t.last));
    cells.row.text(match instrument {
        Instrument::Stock(_) => "01",
        Instrument::Lot(_) => "99",
        Instrument::Series(_) => "08",
    });
    cells.quantity(counts, trades.map(|t| t.count));
    cells.row.text(name);
    cells.quantity(totals, trades.map(|t| t.quantity));
    cells.price(prices, strike);
    match expiry {
        Some(expiry) => cells.row.cell(|out| crate::push_date(out, expiry)),
        None => cells.row.text(""),
    }
    cells.amount(totals, trades.map(|t| t.volume));
}

/// Returns the book of an instrument, the name of its company, and strike and expiry of a series.
fn details<'d>(day: &'d Day, instrument: Instrument) -> (&'d Book, &'d str, Option<Cents>, Option<NaiveDate>) {
    let name = |stock: usize| day.listing.stocks[stock].name.as_str();
    match instrument {
        Instrument::Stock(at) => (&day.stocks[at], name(at), None, None),
        Instrument::Lot(at) => (&day.lots[at], name(at), None, None),
        Instrument::Series(at) => {
            let series = &day.listing.series[at];
            (&day.series[at], name(series.stock), Some(series.strike), Some(series.expiry))
        }
    }
}
