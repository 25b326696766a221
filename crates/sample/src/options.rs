//! Rows of an options snapshot: option chains with model prices.

use crate::cells::Cells;
use crate::listing::{PRICED_SERIES, Series};
use crate::number_style::{self, Source};
use crate::option_price::black_scholes;
use crate::raw_file::Row;
use crate::rng::Rng;
use crate::trading::Day;

/// Calls `emit` with each row of a snapshot taken now.
pub(crate) fn rows(day: &Day, rng: &mut Rng, mut emit: impl FnMut(&mut Row, &mut Rng)) {
    // The recorder of this feed is a program; some files have passed through a spreadsheet.
    let source = if rng.one_in(6) { Source::Panel } else { Source::Program };
    let mut row = Row::default();
    for (at, series) in day.listing.series.iter().enumerate().take(PRICED_SERIES) {
        row.clear();
        row.text(&series.ticker);
        fill(&mut Cells { row: &mut row, rng }, day, at, series, source);
        emit(&mut row, rng);
    }
}

/// Writes the cells after the ticker.
fn fill(cells: &mut Cells, day: &Day, at: usize, series: &Series, source: Source) {
    let stock = &day.listing.stocks[series.stock];
    let (book, underlying) = (&day.series[at], &day.stocks[series.stock]);
    let (bid, ask) = (book.bid.map(|offer| offer.price), book.ask.map(|offer| offer.price));
    let (underlying_bid, underlying_ask) =
        (underlying.bid.map(|offer| offer.price), underlying.ask.map(|offer| offer.price));

    let historical = day.historical_volatility(series);
    let worth = |spot: Option<i64>, volatility: f64| {
        let spot = spot.unwrap_or(underlying.last_close) as f64 / 100.0;
        black_scholes(series.right, spot, series.strike as f64 / 100.0, series.days as f64 / 252.0, volatility)
    };
    let (low, high) = (worth(underlying_bid, historical * 0.97), worth(underlying_ask, historical * 1.03));
    let (model_bid, model_ask) = (Some((fixed(low.price.max(0.0), 6), 6)), Some((fixed(high.price.max(0.0), 6), 6)));
    let (bid_volatility, ask_volatility) = day.implied_volatilities(at);
    let volatility = |value: f64, there: bool| there.then(|| (fixed(value, 9), 9));

    cells.quantity(source, Some(series.days));
    match source {
        Source::Panel => cells.row.cell(|out| number_style::five_decimals(out, series.strike)),
        Source::Program => cells.price(source, Some(series.strike)),
    }
    cells.row.text(series.right.style());
    cells.row.text(series.right.as_str());
    cells.row.cell(|out| crate::push_date(out, series.expiry));
    cells.row.text(&stock.ticker);
    cells.auction_price(source, book.auction, bid);
    cells.price(source, underlying_bid);
    cells.auction_price(source, book.auction, ask);
    cells.price(source, underlying_ask);
    cells.row.text(stock.sector);
    cells.decimal(source, model_ask);
    cells.decimal(source, model_bid);
    cells.decimal(source, ask.map(|cents| (cents, 2)).or(model_ask));
    cells.decimal(source, bid.map(|cents| (cents, 2)).or(model_bid));
    cells.decimal(source, volatility(bid_volatility, bid.is_some()));
    cells.decimal(source, volatility(ask_volatility, ask.is_some()));
    cells.decimal(source, volatility(historical * 0.97, true));
    cells.decimal(source, volatility(historical * 1.03, true));
    cells.decimal(source, Some((fixed(f64::midpoint(low.delta, high.delta), 12), 12)));
    cells.decimal(source, volatility(bid_volatility * 1.001, bid.is_some()));
    cells.decimal(source, volatility(ask_volatility * 0.999, ask.is_some()));
}

/// Returns `number` in units of `10^-scale`.
fn fixed(number: f64, scale: u32) -> i64 {
    (number * 10_i64.pow(scale) as f64).round() as i64
}
